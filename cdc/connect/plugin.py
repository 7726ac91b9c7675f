"""Our Java classes beside Debezium's: compiled into the plugin folder of whatever Kafka Connect is to run the connectors.

The package carries their sources, not a jar: they are compiled against the very Debezium that will load them, so one that
does not fit is found here and not by the first message. Needs a JDK; it fetches nothing and starts no worker anew.
"""

import os
import re
import shutil
import subprocess
import tempfile
import zipfile
from pathlib import Path

from cdc.errors import ConfigurationError

OLDEST_DEBEZIUM = (3, 7)
"""Older ones lose changes at a restart inside rows that share a log position."""
JAR = "millrace-connect.jar"
_OURS = "millrace-*.jar"
_JAVA = "17"  # what Kafka Connect 4 runs on, and later ones read
_FOLDER = Path(__file__).parent


def build(debezium: Path, kafka_libs: Path | None, compiler: Path | None) -> Path:
    """Compile the classes into Debezium's plugin folder; returns the jar, which is replaced whole.

    Args:
        debezium: plugin folder with the jars of Debezium's connector for PostgreSQL.
        kafka_libs: folder with Connect's own jars; None where they lie in the plugin folder too.
        compiler: `javac`, or a jar that takes the same options (ecj); None: the JDK's of JAVA_HOME or PATH.

    Raises:
        ConfigurationError: jars or the compiler are missing, or the classes do not fit this Debezium.
    """
    folders = (debezium, kafka_libs) if kafka_libs else (debezium,)
    jars = [jar for folder in folders for jar in sorted(folder.glob("*.jar")) if not jar.match(_OURS)]
    _check(debezium, {jar.name for jar in jars})
    with tempfile.TemporaryDirectory() as classes:
        options = ["-source", _JAVA, "-target", _JAVA, "-proc:none", "-nowarn", "-d", classes]
        _compile([*_compiler(compiler), *options, "-cp", os.pathsep.join(map(str, jars)), *map(str, _sources())])
        made = Path(classes, JAR)
        with zipfile.ZipFile(made, "w") as jar:
            for path in sorted(Path(classes).rglob("*.class")):
                jar.write(path, path.relative_to(classes))
            for path in sorted(_FOLDER.glob("*/META-INF/services/*")):
                jar.write(path, Path(*path.parts[-3:]))
        beside = debezium / f".{JAR}.new"
        try:
            shutil.copyfile(made, beside)
            beside.replace(debezium / JAR)
            for other in set(debezium.glob(_OURS)) - {debezium / JAR}:  # of an earlier version, under another name
                other.unlink()
        except OSError as error:
            raise ConfigurationError(f"{debezium}: the jar cannot be written there: {error.strerror}") from error
    return debezium / JAR


def _sources() -> list[Path]:
    return sorted(_FOLDER.rglob("*.java"))


def _check(debezium: Path, jars: set[str]) -> None:
    found = next(
        (match for name in jars if (match := re.match(r"debezium-connector-postgres-(\d+)\.(\d+)", name))), None
    )
    if found is None:
        raise ConfigurationError(
            f"{debezium} holds no debezium-connector-postgres-*.jar: name the plugin folder of Debezium's connector for "
            "PostgreSQL"
        )
    if (int(found[1]), int(found[2])) < OLDEST_DEBEZIUM:
        oldest = ".".join(map(str, OLDEST_DEBEZIUM))
        raise ConfigurationError(f"{debezium} holds Debezium {found[1]}.{found[2]}: {oldest} or newer is needed")
    if not any(name.startswith("connect-api-") for name in jars):
        raise ConfigurationError("Kafka Connect's own jars are needed too: name their folder with --kafka-libs")


def _compiler(chosen: Path | None) -> list[str]:
    if chosen is not None and chosen.suffix == ".jar":
        return [_program("java"), "-jar", str(chosen)]
    return [str(chosen) if chosen is not None else _program("javac")]


def _program(name: str) -> str:
    """One of Java's programs, of JAVA_HOME or else of the PATH."""
    home = os.environ.get("JAVA_HOME")
    found = shutil.which(name, path=str(Path(home, "bin"))) if home else None
    if found is None and (found := shutil.which(name)) is None:
        raise ConfigurationError(
            f"there is no `{name}` in JAVA_HOME or on the PATH: install a JDK of version {_JAVA} or newer, or name its "
            "compiler with --compiler"
        )
    return found


def _compile(command: list[str]) -> None:
    try:
        done = subprocess.run(command, capture_output=True, text=True, stdin=subprocess.DEVNULL, check=False)
    except OSError as error:
        raise ConfigurationError(f"{command[0]} cannot be run: {error.strerror}") from error
    if done.returncode != 0:
        said = [line.strip() for line in (done.stdout + done.stderr).splitlines() if "error" in line.lower()]
        reason = said[0] if said else f"exit status {done.returncode}"
        raise ConfigurationError(f"our classes do not compile against these jars: {reason}")
