"""Passwords: made once, private, kept."""

from pathlib import Path

import pytest

from stack.errors import StackError
from stack.secrets import NAMES, load_secrets, write_private


def test_passwords_are_made_once_and_differ(tmp_path: Path) -> None:
    first = load_secrets(tmp_path)
    assert set(first) == set(NAMES)
    assert len(set(first.values())) == len(NAMES)
    assert load_secrets(tmp_path) == first


def test_the_file_is_its_owners_alone(tmp_path: Path) -> None:
    load_secrets(tmp_path)
    assert (tmp_path / "secrets.json").stat().st_mode & 0o777 == 0o600


def test_a_password_that_is_new_in_this_version_is_added(tmp_path: Path) -> None:
    write_private(tmp_path / "secrets.json", '{"redis": "old"}')
    secrets = load_secrets(tmp_path)
    assert secrets["redis"] == "old"
    assert set(secrets) == set(NAMES)


def test_a_damaged_file_is_named_and_not_replaced(tmp_path: Path) -> None:
    write_private(tmp_path / "secrets.json", "{")
    with pytest.raises(StackError, match=r"secrets\.json cannot be read"):
        load_secrets(tmp_path)
    assert (tmp_path / "secrets.json").read_text() == "{"
