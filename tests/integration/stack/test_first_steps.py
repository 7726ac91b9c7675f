"""A fresh clone below a folder closed to others: set-up and start work for root and for an ordinary user."""

import os
import pwd
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from stack.bootstrap import missing_packages
from stack.settings import ROOT
from tests.integration.stack.conftest import FIRST_PORT

ORDINARY = "nobody"
PORT_BASE = FIRST_PORT + 700
SERVERS = "postgres-replica,redis,kafka,elasticsearch,clickhouse"


@pytest.fixture(params=[pwd.getpwuid(os.geteuid()).pw_name, ORDINARY] if os.geteuid() == 0 else ["ourselves"])
def user(request: pytest.FixtureRequest) -> str:
    """Root and an ordinary user where we can become both, else whoever we are."""
    return str(request.param) if os.geteuid() == 0 else pwd.getpwuid(os.geteuid()).pw_name


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """A temporary folder that everybody may pass; pytest's own is closed to other users."""
    with tempfile.TemporaryDirectory(prefix="millrace-", ignore_cleanup_errors=True) as name:
        Path(name).chmod(0o711)
        yield Path(name)


@pytest.mark.long
@pytest.mark.timeout(1500)
def test_a_fresh_clone_starts_its_servers(user: str, open_folder: Path) -> None:
    assert missing_packages() == []
    clone = open_folder / "closed" / "clone"
    clone.mkdir(parents=True)
    listed = subprocess.run(
        ["git", "ls-files", "-co", "--exclude-standard", "-z"], cwd=ROOT, capture_output=True, check=True
    )
    for name in filter(None, listed.stdout.decode().split("\0")):
        if (ROOT / name).is_file():
            (clone / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, clone / name)
    owner = pwd.getpwnam(user)
    for path in (clone.parent, *clone.parent.rglob("*")):
        os.chown(path, owner.pw_uid, owner.pw_gid)
    clone.parent.chmod(0o700)

    def as_user(*command: str) -> "subprocess.CompletedProcess[str]":
        environment = {name: value for name, value in os.environ.items() if not name.startswith("MILLRACE_")}
        environment |= {"HOME": str(clone.parent), "MILLRACE_PORT_BASE": str(PORT_BASE)}
        environment["MAVEN_OPTS"] = f"-Duser.home={clone.parent}"  # Java asks the system's table of users, not HOME
        drop = ["setpriv", f"--reuid={user}", f"--regid={owner.pw_gid}", "--clear-groups"]
        prefix = drop if os.geteuid() == 0 and user != "root" else []
        return subprocess.run(
            [*prefix, *command], cwd=clone, env=environment, capture_output=True, text=True, check=False
        )

    done = as_user("make", "setup")
    assert done.returncode == 0, done.stderr
    again = as_user("make", "setup")
    assert (again.returncode, again.stderr) == (0, "")
    try:
        done = as_user(".venv/bin/millrace", "up", "--only", SERVERS)
        assert done.returncode == 0, done.stderr
        assert as_user(".venv/bin/millrace", "status").returncode == 0
    finally:
        done = as_user(".venv/bin/millrace", "down")
    assert done.returncode == 0, done.stderr
