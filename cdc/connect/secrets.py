"""The passwords that Connect reads through its FileConfigProvider, so that none shows in its REST interface."""

import os
import tempfile
from pathlib import Path

from psycopg.conninfo import conninfo_to_dict

from cdc.errors import ConfigurationError
from cdc.source_file import SourceFile


def ensure_password(file: SourceFile, secrets_file: str) -> bool:
    """Put the source's password into the properties file if it is not there; return whether it was written.

    The file is replaced whole (mode 600), so a reader never sees half of it.

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
    path = Path(secrets_file)
    lines = path.read_text().splitlines() if path.exists() else []
    name = f"{file.source}_password="
    wanted = [line for line in lines if not line.startswith(name)] + [name + text]
    if name + text in lines:
        return False
    handle, temporary = tempfile.mkstemp(dir=path.parent)
    with os.fdopen(handle, "w") as stream:
        stream.write("\n".join(wanted) + "\n")
    Path(temporary).replace(path)
    return True
