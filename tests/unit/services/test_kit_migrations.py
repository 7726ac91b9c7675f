"""The migrations' files: what is refused before a database is touched."""

from pathlib import Path

import pytest

from services.kit.migrate import Migration, MigrationError, main, outstanding, read


def folder(path: Path, *names: str) -> Path:
    for name in names:
        (path / name).write_text(f"SELECT 1; -- {name}", encoding="utf-8")
    return path


def test_files_come_in_order(tmp_path: Path) -> None:
    files = read(folder(tmp_path, "0002_b.sql", "0001_a.sql"))
    assert [file.name for file in files] == ["0001_a.sql", "0002_b.sql"]


@pytest.mark.parametrize(
    ("names", "complaint"),
    [
        (["0001_a.sql", "0003_c.sql"], "number 0002 is expected"),
        (["0002_b.sql"], "number 0001 is expected"),
        (["0001_a.sql", "0001_b.sql"], "number 0002 is expected"),
        (["0001_a.sql", "second.sql"], "name it NNNN_title.sql"),
        ([], "no migration here"),
    ],
)
def test_gaps_repetitions_and_bad_names_are_refused(tmp_path: Path, names: list[str], complaint: str) -> None:
    with pytest.raises(MigrationError, match=complaint):
        read(folder(tmp_path, *names))


def test_only_the_new_files_are_outstanding(tmp_path: Path) -> None:
    files = read(folder(tmp_path, "0001_a.sql", "0002_b.sql"))
    assert outstanding(files, [Migration(files[0].name, files[0].sha256)]) == files[1:]
    assert outstanding(files, [Migration(file.name, file.sha256) for file in files]) == []


def test_an_edited_applied_file_is_refused(tmp_path: Path) -> None:
    files = read(folder(tmp_path, "0001_a.sql"))
    with pytest.raises(MigrationError, match=r"0001_a\.sql was edited after it was applied"):
        outstanding(files, [Migration("0001_a.sql", "another sum")])


def test_a_removed_applied_file_is_refused(tmp_path: Path) -> None:
    files = read(folder(tmp_path, "0001_a.sql"))
    with pytest.raises(MigrationError, match=r"0002_b\.sql is applied but not here"):
        outstanding(files, [Migration("0001_a.sql", files[0].sha256), Migration("0002_b.sql", "any")])


@pytest.mark.parametrize("value", [None, "nonsense"])
def test_a_faulty_address_is_one_line_and_exit_2(
    value: str | None, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("USERS_DSN", raising=False)
    if value is not None:
        monkeypatch.setenv("USERS_DSN", value)
    assert main(["users"]) == 2
    printed = capsys.readouterr().err
    assert printed.startswith("users: setting USERS_DSN (address of the users database, as its owner) is ")
    assert printed.count("\n") == 1


def test_an_unknown_service_is_refused_before_anything_is_applied(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["users", "nobody"]) == 2
    assert "name services to migrate, out of: orders, payments, products, users" in capsys.readouterr().err
