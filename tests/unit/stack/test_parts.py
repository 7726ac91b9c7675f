"""Which PostgreSQL is found: the stack's own, and one with failover slots."""

import stat
from pathlib import Path

import pytest

from stack import parts
from stack.parts import Part


def server(folder: Path, version: str) -> Part:
    """A program that says it is this PostgreSQL."""
    program = folder / "postgres"
    program.write_text(f"#!/bin/sh\necho 'postgres (PostgreSQL) {version} (Debian)'\n")
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    return Part("PostgreSQL", folder, "")


@pytest.mark.parametrize(("version", "own"), [("15.20", False), ("17.2", True), ("18beta1", True)])
def test_failover_slots_are_shown_on_the_stacks_own_server_where_it_has_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, version: str, own: bool
) -> None:
    found = server(tmp_path, version)
    monkeypatch.setattr(parts, "postgres", lambda: found)
    assert parts.postgres_version() == int(version[:2])
    assert (parts.postgres_with_failover_slots() == found) is own


def test_a_machine_without_postgresql_has_version_0(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parts, "postgres", lambda: Part("PostgreSQL", tmp_path / "nowhere", ""))
    assert parts.postgres_version() == 0
