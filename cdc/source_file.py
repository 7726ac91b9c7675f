"""Source files: one YAML file says what is captured from one PostgreSQL database, and where to.

Loading checks form only (unknown keys, wrong types, unset variables); whether tables exist and can be captured is
checked against the database by `cdc.connect.plan`.
"""

import os
import re
from pathlib import Path
from typing import Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from cdc.errors import ConfigurationError
from cdc.key_template import Template
from cdc.masking import Mask

Target = Literal["clickhouse", "elasticsearch"]
_SIZE = r"([1-9][0-9]{0,6}) ?(MB|GB|TB)"


class TableColumns(BaseModel):
    """What a source file says about the columns of one table.

    ``types`` maps a column to what it is kept as instead of its usual type (docs/types.md); ``key`` names the columns of
    a unique key to use in place of the primary key; ``exclude`` names columns that reach no copy, ``mask`` those of which
    only a masked value does (`cdc.masking`). ``append_only`` says of a table without a key that rows are only inserted into
    it, and the table truncated.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    types: dict[str, str] = {}
    key: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()
    mask: dict[str, str] = {}
    append_only: bool = False

    @field_validator("mask")
    @classmethod
    def _known_masks(cls, mask: dict[str, str]) -> dict[str, str]:
        for text in mask.values():
            Mask.parse(text)
        return mask

    @model_validator(mode="after")
    def _one_use_each(self) -> "TableColumns":
        used = [name for name in (*self.types, *self.key, *self.mask) if name in self.exclude]
        if used:
            raise ValueError(f"{', '.join(used)} cannot be excluded and used as well")
        if masked := [name for name in self.key if name in self.mask]:
            raise ValueError(f"{', '.join(masked)} of the key cannot be masked")
        if doubled := [name for name in self.key if self.key.count(name) > 1]:
            raise ValueError(f"key names {doubled[0]} twice")
        if self.key and self.append_only:
            raise ValueError("append_only is for a table without a key; leave it out, or `key`")
        return self


class SourceFile(BaseModel):
    """The content of one source file.

    ``tables`` and ``exclude`` are globs over ``schema.table``, and so is ``history``: of these tables every version of a row is kept
    in ClickHouse (`cdc.sinks.clickhouse.history`). ``columns`` is by ``schema.table``; ``documents`` holds
    trees in PGSync's node format, read by `cdc.documents.trees`; ``invalidate`` gives by ``schema.table`` the key of the cache
    entries that a row of it stands in, such as ``product:{product_id}``; ``outbox`` is the prefix of those messages in the log
    (`pg_logical_emit_message`) that are the application's events; ``slot_limit``, such as ``20GB``, is how much log the slot may
    keep from being removed before it is given up and the copies are compared anew.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    source: str = Field(pattern=r"^[a-z][a-z0-9_]{0,40}$")
    dsn: str
    tables: tuple[str, ...] = Field(min_length=1)
    exclude: tuple[str, ...] = ()
    history: tuple[str, ...] = ()
    targets: tuple[Target, ...] = ("clickhouse",)
    documents: tuple[dict[str, Any], ...] = ()
    columns: dict[str, TableColumns] = {}
    invalidate: dict[str, str] = {}
    outbox: str | None = Field(default=None, pattern=r"^[a-z][a-z0-9_.]{0,60}$")
    slot_limit: str | None = None

    @field_validator("invalidate")
    @classmethod
    def _templates_of_keys(cls, invalidate: dict[str, str]) -> dict[str, str]:
        for text in invalidate.values():
            Template.parse(text)
        return invalidate

    @field_validator("slot_limit")
    @classmethod
    def _a_size(cls, limit: str | None) -> str | None:
        if limit is not None and not re.fullmatch(_SIZE, limit):
            raise ValueError("a whole number of MB, GB or TB is wanted, such as 20GB")
        return limit

    @property
    def slot_limit_bytes(self) -> int | None:
        """How many bytes of log the slot may keep; None: as many as the server lets it."""
        if self.slot_limit is None:
            return None
        found = re.fullmatch(_SIZE, self.slot_limit)
        assert found is not None
        return int(found[1]) << {"MB": 20, "GB": 30, "TB": 40}[found[2]]

    @property
    def conninfo(self) -> str:
        """The DSN with ``${NAME}`` taken from the environment.

        Raises:
            ConfigurationError: a variable that it names is not set.
        """

        def value(match: re.Match[str]) -> str:
            name = match.group(1)
            if name not in os.environ:
                raise ConfigurationError(
                    f"source {self.source}: `dsn` needs the environment variable {name}, which is not set"
                )
            return os.environ[name]

        return re.sub(r"\$\{([A-Z0-9_]+)\}", value, self.dsn)

    @property
    def hashes(self) -> bool:
        """Whether a column is masked by a hash, which needs the key."""
        return any("hash" in columns.mask.values() for columns in self.columns.values())

    @property
    def slot(self) -> str:
        """Name of the replication slot in the source database."""
        return f"millrace_{self.source}"

    @property
    def publication(self) -> str:
        """Name of the publication in the source database."""
        return "millrace"

    @property
    def raw_database(self) -> str:
        """The ClickHouse database that holds the copies of this source's tables."""
        return f"raw_{self.source}"


def load(path: Path) -> SourceFile:
    """Read one source file, and see that the variables its DSN names are set.

    Raises:
        ConfigurationError: one line naming the file, the key and what is wrong with it.
    """
    try:
        document = yaml.safe_load(path.read_text())
    except FileNotFoundError:
        raise ConfigurationError(f"{path}: no such source file") from None
    except yaml.YAMLError as error:
        raise ConfigurationError(f"{path}: not valid YAML: {' '.join(str(error).split())}") from None
    if not isinstance(document, dict):
        raise ConfigurationError(
            f"{path}: a source file is a mapping with the keys {', '.join(SourceFile.model_fields)}"
        )
    try:
        file = SourceFile.model_validate(document)
        _ = file.conninfo
    except ValidationError as error:
        wrong = "; ".join(
            f"`{'.'.join(map(str, e['loc']))}`: {_reason(e['type'], e['msg'], e['loc'])}" for e in error.errors()
        )
        raise ConfigurationError(f"{path}: {wrong}") from None
    except ConfigurationError as error:
        raise ConfigurationError(f"{path}: {error}") from None
    return file


def load_all(paths: list[Path] | None, folder: str) -> list[SourceFile]:
    """Read the given files, or every ``*.yaml`` of the folder when none is given; names must differ."""
    chosen = paths or sorted(Path(folder).glob("*.yaml"))
    if not chosen:
        raise ConfigurationError(f"no source files in {folder}: name them, or set CDC_SOURCES to their folder")
    files = [load(path) for path in chosen]
    names = [file.source for file in files]
    doubled = sorted({name for name in names if names.count(name) > 1})
    if doubled:
        raise ConfigurationError(f"two source files are called {', '.join(doubled)}: each needs a `source:` of its own")
    return files


def _reason(kind: str, message: str, where: tuple[int | str, ...]) -> str:
    if kind == "extra_forbidden":
        form = TableColumns if where[0] == "columns" else SourceFile
        return f"unknown key; known are {', '.join(form.model_fields)}"
    return message.removeprefix("Value error, ")
