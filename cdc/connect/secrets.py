"""The passwords that Connect reads through its FileConfigProvider, so that none shows in its REST interface."""

import fcntl
import os
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from psycopg.conninfo import conninfo_to_dict

from cdc.errors import ConfigurationError
from cdc.masking import check_key
from cdc.source_file import SourceFile

MASK_KEY = "mask_key"
"""What the key of masks by hash is called in the properties file."""


def ensure_password(file: SourceFile, secrets_file: str) -> bool:
    """Put the source's password into the properties file if it is not there; return whether it was written.

    Raises:
        ConfigurationError: the DSN has no password, or it cannot be spelled in a properties file.
    """
    password = conninfo_to_dict(file.conninfo).get("password")
    if not password:
        raise ConfigurationError(f"source {file.source}: `dsn` holds no password, and Kafka Connect needs one")
    text = str(password)
    if not text.isprintable() or text != text.strip() or "\\" in text:
        raise ConfigurationError(
            f"source {file.source}: a password with backslashes, outer blanks or control characters cannot be used"
        )
    return ensure({f"{file.source}_password": text}, Path(secrets_file))


def ensure_mask_key(key: str, secrets_file: str) -> bool:
    """Put the key of masks by hash into the properties file if it is not there; return whether it was written.

    Raises:
        ConfigurationError: another one is there, or it cannot be used.
    """
    refuse_other_mask_key(key, secrets_file)
    return ensure({MASK_KEY: key}, Path(secrets_file))


def refuse_other_mask_key(key: str, secrets_file: str) -> None:
    """Return where the key can be used, and is the one that Connect masks by, or will be.

    Raises:
        ConfigurationError: it is not.
    """
    check_key(key)
    known = [line for line in _lines(Path(secrets_file)) if line.startswith(f"{MASK_KEY}=")]
    if known not in ([], [f"{MASK_KEY}={key}"]):
        raise ConfigurationError(
            f"CDC_MASK_KEY is not the key that Connect has: every hash would be another one; set the former key again, or "
            f"take its line `{MASK_KEY}` out of {secrets_file} and every source with masks by hash out and in again"
        )


def _lines(path: Path) -> list[str]:
    return path.read_text().splitlines() if path.exists() else []


def ensure(values: Mapping[str, str], path: Path) -> bool:
    """Have these names in the properties file with these values, and all others as they are; return whether it was written.

    The file is replaced whole (mode 600), so a reader never sees half of it; one writer after the other, so no line is lost. Where a
    name is missing Connect hands its connectors the reference to it instead.
    """
    with _only_writer(path.parent):
        lines, wanted = _lines(path), [f"{name}={value}" for name, value in values.items()]
        if set(wanted) <= set(lines):
            return False
        others = [line for line in lines if line.partition("=")[0] not in values]
        handle, temporary = tempfile.mkstemp(dir=path.parent)
        with os.fdopen(handle, "w") as stream:
            stream.write("".join(f"{line}\n" for line in [*others, *wanted]))
            stream.flush()
            os.fsync(stream.fileno())
        Path(temporary).replace(path)
        return True


@contextmanager
def _only_writer(folder: Path) -> Iterator[None]:
    held = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(held, fcntl.LOCK_EX)
        yield
    finally:
        os.close(held)
