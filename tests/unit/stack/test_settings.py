"""A stack's settings: defaults, bad values in one line, and the port base that a state folder remembers."""

import json
from pathlib import Path

import pytest

from stack.errors import SettingError
from stack.settings import ROOT, Settings, load_settings


@pytest.fixture(autouse=True)
def _nothing_set(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MILLRACE_HOME", raising=False)
    monkeypatch.delenv("MILLRACE_PORT_BASE", raising=False)


def test_the_defaults_are_the_checkouts_own_folder_and_ports() -> None:
    settings = Settings()
    assert settings.home == ROOT / ".millrace"
    assert settings.port_base == 21000


@pytest.mark.parametrize("value", ["abc", "80", "70000", "65530", ""])
def test_a_wrong_port_base_is_named_with_its_meaning(value: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MILLRACE_PORT_BASE", value)
    with pytest.raises(SettingError, match=r"^MILLRACE_PORT_BASE: .*first of the 40 ports") as failure:
        load_settings()
    assert "\n" not in str(failure.value)


def test_settings_cannot_change_after_they_were_read() -> None:
    with pytest.raises(ValueError, match="frozen"):
        Settings().__setattr__("port_base", 22000)


def test_a_relative_home_is_made_absolute(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MILLRACE_HOME", "here")
    assert load_settings().home == tmp_path / "here"


def test_an_unset_port_base_is_the_one_that_the_stack_was_started_with(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "environment.json").write_text(json.dumps({"MILLRACE_PORT_BASE": "23000"}))
    monkeypatch.setenv("MILLRACE_HOME", str(tmp_path))
    assert load_settings().port_base == 23000
    monkeypatch.setenv("MILLRACE_PORT_BASE", "25000")
    assert load_settings().port_base == 25000


def test_a_damaged_environment_file_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "environment.json").write_text("{")
    monkeypatch.setenv("MILLRACE_HOME", str(tmp_path))
    with pytest.raises(SettingError, match=r"environment\.json cannot be read"):
        load_settings()


@pytest.mark.parametrize("name", ["a'b", 'a"b', "a,b", "a:b", "a&b", "a$b", "a\nb"])
def test_a_home_that_settings_files_cannot_name_is_refused(
    name: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("MILLRACE_HOME", str(tmp_path / name))
    with pytest.raises(SettingError, match=r"^MILLRACE_HOME: .*may not contain"):
        load_settings()


def test_a_home_with_blanks_and_letters_of_any_language_is_fine(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("MILLRACE_HOME", str(tmp_path / "mühl rad"))
    assert load_settings().home == tmp_path / "mühl rad"
