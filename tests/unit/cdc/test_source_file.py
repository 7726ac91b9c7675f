"""Source files: what is wrong is named with its file and key, before anything is touched."""

from pathlib import Path

import pytest

from cdc.errors import ConfigurationError
from cdc.source_file import load, load_all

GOOD = "source: shop\ndsn: ${SHOP_DSN}\ntables: ['public.*']\n"


def write(folder: Path, text: str, name: str = "shop.yaml") -> Path:
    path = folder / name
    path.write_text(text)
    return path


def test_the_dsn_is_taken_from_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SHOP_DSN", "postgresql://cdc@db/shop")
    file = load(write(tmp_path, GOOD))
    assert file.conninfo == "postgresql://cdc@db/shop"
    assert (file.slot, file.raw_database, file.targets) == ("millrace_shop", "raw_shop", ("clickhouse",))


def test_a_limit_of_the_slot_is_a_size(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SHOP_DSN", "postgresql://cdc@db/shop")
    assert load(write(tmp_path, GOOD)).slot_limit_bytes is None
    assert load(write(tmp_path, GOOD + "slot_limit: 20GB\n")).slot_limit_bytes == 20 << 30
    assert load(write(tmp_path, GOOD + "slot_limit: 300 MB\n")).slot_limit_bytes == 300 << 20


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (GOOD + "tabels: []\n", "`tabels`: unknown key; known are source, dsn, tables"),
        ("source: shop\ndsn: x\n", "`tables`: Field required"),
        ("source: shop\ndsn: x\ntables: []\n", "`tables`"),
        ("source: Shop!\ndsn: x\ntables: [a]\n", "`source`"),
        (GOOD + "targets: [mongodb]\n", "`targets.0`"),
        (
            GOOD + "columns: {public.t: {type: {a: text}}}\n",
            "`columns.public.t.type`: unknown key; known are types, key, exclude",
        ),
        (GOOD + "columns: {public.t: {key: a}}\n", "`columns.public.t.key`"),
        (GOOD + "columns: {public.t: {key: [a, a]}}\n", "`columns.public.t`: key names a twice"),
        (
            GOOD + "columns: {public.t: {key: [a], append_only: true}}\n",
            "`columns.public.t`: append_only is for a table without a key",
        ),
        (
            GOOD + "columns: {public.t: {exclude: [a], types: {a: text}}}\n",
            "`columns.public.t`: a cannot be excluded and used",
        ),
        (GOOD + "columns: [a]\n", "`columns`"),
        (GOOD + "invalidate: {public.t: 't:id'}\n", "`invalidate`: 't:id' is no template of a key such as"),
        (GOOD + "invalidate: {public.t: ['t:{id}']}\n", "`invalidate.public.t`"),
        (GOOD + "slot_limit: much\n", "`slot_limit`: a whole number of MB, GB or TB is wanted, such as 20GB"),
        ("- a list\n", "a source file is a mapping"),
        ("source: [\n", "not valid YAML"),
    ],
)
def test_a_wrong_file_is_refused_in_one_line_that_names_the_key(tmp_path: Path, text: str, says: str) -> None:
    path = write(tmp_path, text)
    with pytest.raises(ConfigurationError) as refused:
        load(path)
    assert says in str(refused.value)
    assert str(path) in str(refused.value)
    assert "\n" not in str(refused.value)


def test_an_unset_variable_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SHOP_DSN", raising=False)
    with pytest.raises(ConfigurationError, match="needs the environment variable SHOP_DSN"):
        load(write(tmp_path, GOOD))


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="no such source file"):
        load(tmp_path / "none.yaml")


def test_two_sources_of_one_name_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SHOP_DSN", "postgresql://cdc@db/shop")
    write(tmp_path, GOOD, "one.yaml")
    write(tmp_path, GOOD, "two.yaml")
    with pytest.raises(ConfigurationError, match="two source files are called shop"):
        load_all(None, str(tmp_path))
