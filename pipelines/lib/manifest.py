"""The dbt manifest that the code location loads from.

Parsing takes seconds, so it is done once for a given content of the project: a stamp beside the manifest names the
content that it was made from, and two processes that find it stale parse it only once. It needs no server; addresses
that are not set are filled with ones that nobody contacts. `python -m pipelines.lib.manifest` does it ahead of time.
It does not run any model: that is dbt's own command, called by the assets.
"""

import fcntl
import hashlib
import os
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

PROJECT = Path(__file__).resolve().parents[2] / "dbt"
MANIFEST = PROJECT / "target" / "manifest.json"
STAMP = PROJECT / "target" / "manifest.stamp"
DBT = Path(sys.executable).with_name("dbt")
UNCONTACTED = {"CLICKHOUSE_URL": "http://127.0.0.1:1", "CLICKHOUSE_DBT_PASSWORD": "not-used-by-parse"}


class ManifestError(RuntimeError):
    """dbt refused the project; the message is dbt's own."""


def content_stamp(project: Path = PROJECT) -> str:
    """Hash over dbt's version and every file that a parse reads."""
    digest = hashlib.sha256(version("dbt-core").encode() + version("dbt-clickhouse").encode())
    folders = (project / name for name in ("macros", "models", "tests"))
    files = [*project.glob("*.yml"), *(path for folder in folders for path in folder.rglob("*") if path.is_file())]
    for path in sorted(files):
        content = path.read_bytes()
        digest.update(f"{path.relative_to(project)}\0{len(content)}\0".encode() + content)
    return digest.hexdigest()


def is_current() -> bool:
    """Whether the manifest was made from the project as it is now."""
    return MANIFEST.exists() and STAMP.exists() and STAMP.read_text() == content_stamp()


def ensure_manifest() -> Path:
    """Path of a manifest that matches the project's files, parsed now if it has to be. Raises ManifestError."""
    if is_current():
        return MANIFEST
    MANIFEST.parent.mkdir(exist_ok=True)
    with (MANIFEST.parent / "manifest.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not is_current():
            parse()
    return MANIFEST


def parse() -> None:
    """Run `dbt parse` and stamp its manifest. Raises ManifestError with what dbt printed."""
    stamp = content_stamp()
    command = [str(DBT), "--quiet", "--no-use-colors", "--log-level-file", "none", "parse"]
    ran = subprocess.run(
        [*command, "--project-dir", str(PROJECT), "--profiles-dir", str(PROJECT)],
        env=UNCONTACTED | os.environ,
        capture_output=True,
        text=True,
        check=False,
    )
    if ran.returncode != 0:
        raise ManifestError(f"dbt cannot parse {PROJECT}; correct what it names:\n{ran.stdout}{ran.stderr}")
    STAMP.write_text(stamp)


if __name__ == "__main__":
    print(ensure_manifest())
