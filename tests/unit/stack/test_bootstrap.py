"""Set-up: done once, refused with a name where it cannot go on, and never outside its folder."""

import re
import zipfile
from pathlib import Path

import pytest

from stack import bootstrap


def test_a_step_is_done_once_and_again_when_its_sources_change(tmp_path: Path) -> None:
    source, stamp = tmp_path / "lock", tmp_path / "stamp"
    source.write_text("one")
    done: list[str] = []
    for expected in (1, 1):
        bootstrap.step("packages", stamp, [source], lambda: done.append(source.read_text()))
        assert len(done) == expected
    source.write_text("two")
    bootstrap.step("packages", stamp, [source], lambda: done.append(source.read_text()))
    assert done == ["one", "two"]


def test_a_step_that_failed_is_tried_again(tmp_path: Path) -> None:
    source, stamp = tmp_path / "lock", tmp_path / "stamp"
    source.touch()

    def fail() -> None:
        raise bootstrap.SetUpError("no network")

    with pytest.raises(bootstrap.SetUpError):
        bootstrap.step("packages", stamp, [source], fail)
    assert not stamp.exists()


def test_an_archive_that_leads_out_of_its_folder_is_refused(tmp_path: Path) -> None:
    archive, folder = tmp_path / "bad.zip", tmp_path / "in" / "place"
    folder.mkdir(parents=True)
    with zipfile.ZipFile(archive, "w") as content:
        content.writestr("top/../../../outside", "x")
    with pytest.raises(bootstrap.SetUpError, match="leads out of its folder"):
        bootstrap._unpack(archive, folder)
    assert not (tmp_path / "outside").exists()


def test_an_ordinary_user_without_sudo_is_told_what_to_install(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(bootstrap, "missing_packages", lambda: ["redis-server", "maven"])
    monkeypatch.setattr("os.geteuid", lambda: 1000)
    monkeypatch.setenv("PATH", str(tmp_path))
    wanted = r"^missing: redis-server, maven; get them with: sudo apt-get install .* redis-server maven$"
    with pytest.raises(bootstrap.SetUpError, match=wanted):
        bootstrap.system_packages()


def test_superset_takes_another_python_where_ours_is_too_new(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    assert bootstrap.superset_python()
    monkeypatch.setattr(bootstrap, "SUPERSET_PYTHONS", ((3, 1), (3, 2)))
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(
        bootstrap.SetUpError, match=r"^Superset runs on Python 3\.1 or 3\.2, this is 3\.\d+: put one of them"
    ):
        bootstrap.superset_python()
    (tmp_path / "python3.2").touch(0o755)
    assert bootstrap.superset_python() == str(tmp_path / "python3.2")


def test_the_locks_pin_with_hashes_and_name_no_address() -> None:
    assert "\nuv==" in bootstrap.LOCK.read_text()
    for lock in (bootstrap.LOCK, bootstrap.SUPERSET_LOCK):
        text = lock.read_text()
        assert "://" not in text
        assert len(re.findall(r"(?m)^\S+==\S+", text)) == len(re.findall(r"(?m)^\S+==.* \\\n    --hash", text))
    assert "resolved" not in (bootstrap.ROOT / "package-lock.json").read_text()
