"""What must be true before a start, and what is said when it is not."""

import os
import socket
from collections import namedtuple
from pathlib import Path

import pytest

from stack import checks
from stack.errors import CheckFailed
from stack.parts import NOT_FOUND, Part
from stack.process import Folder, Process
from stack.processes.files import check_folder
from stack.settings import Settings

Usage = namedtuple("Usage", "total used free")


def test_a_taken_port_names_the_port_who_wants_it_who_has_it_and_the_remedy() -> None:
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", 0))
        holder.listen()
        port = holder.getsockname()[1]
        finding = checks.port_finding("redis", port)
    assert not finding.well
    assert f"port {port}, wanted by redis, is taken by " in finding.remedy
    assert f"(process {os.getpid()})" in finding.remedy
    assert "MILLRACE_PORT_BASE" in finding.remedy
    assert checks.port_finding("redis", port).well


def test_a_full_disk_is_refused_before_anything_starts(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("shutil.disk_usage", lambda _: Usage(100, 99, 1024**3))
    finding = checks.disk_finding(Settings(home=tmp_path / "not" / "yet"))
    assert finding.remedy.startswith(f"the disk of {tmp_path} is full (1.0 GB free, 2 GB needed)")
    assert "MILLRACE_HOME" in finding.remedy


def test_a_home_that_is_a_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    assert "is not a folder" in checks.folder_finding(Settings(home=tmp_path / "file" / "state")).remedy


def test_a_missing_part_is_named_with_its_remedy(tmp_path: Path) -> None:
    part = Part("Redis", NOT_FOUND, "install it: apt-get install redis-server")
    process = Process(name="redis", command=("x",), health=lambda: None, parts=(part,))
    findings = checks.examine(Settings(home=tmp_path), [process], running=frozenset({"supervisor"}))
    with pytest.raises(CheckFailed, match=r"^Redis is missing: install it: apt-get install redis-server$"):
        checks.require(findings)


@pytest.mark.parametrize(("content", "refused"), [([], False), (["junk"], True), (["PROOF", "junk"], False)])
def test_only_a_folder_with_content_but_no_proof_is_half_written(
    content: list[str], refused: bool, tmp_path: Path
) -> None:
    folder = Folder(tmp_path / "data", "PROOF")
    folder.path.mkdir()
    for name in content:
        (folder.path / name).touch()
    if refused:
        with pytest.raises(CheckFailed, match=r"half written .*rm -r"):
            check_folder(folder)
    else:
        check_folder(folder)
