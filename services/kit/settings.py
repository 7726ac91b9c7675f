"""Settings of a service: read once from the environment, typed, immutable; a wrong one ends the process with one line.

Nothing is read from files and nothing has a secret as its default.
"""

import sys
from typing import Annotated, TypeVar

from psycopg import ProgrammingError
from psycopg.conninfo import conninfo_to_dict
from pydantic import AfterValidator, Field, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict


def _database_address(value: str) -> str:
    try:
        parts = conninfo_to_dict(value)
    except ProgrammingError:
        raise ValueError("not a PostgreSQL address such as postgresql://role:password@host:port/database") from None
    if not parts.get("dbname"):
        raise ValueError("names no database; write postgresql://role:password@host:port/database")
    return value


def _web_address(value: str) -> str:
    if not value.startswith(("http://", "https://")):
        raise ValueError("not an address such as http://host:port")
    return value.rstrip("/")


Dsn = Annotated[str, AfterValidator(_database_address)]
Url = Annotated[str, AfterValidator(_web_address)]


class Settings(BaseSettings):
    """What every service is told. Fields carry the name of their environment variable as `validation_alias`."""

    model_config = SettingsConfigDict(frozen=True, extra="ignore", env_ignore_empty=True, hide_input_in_errors=True)

    port: int = Field(
        validation_alias="PORT", ge=1, le=65535, description="port on 127.0.0.1 that the service answers on"
    )


class GuardedSettings(Settings):
    """Also where callers' tokens are verified and their calls counted: for a service that opens a door (services.kit.door)."""

    redis_url: str = Field(
        validation_alias="REDIS_URL",
        pattern=r"^rediss?://",
        description="address of Redis, where rate limits are counted",
    )
    sessions_url: Url = Field(validation_alias="SESSIONS_URL", description="address of the sessions service")


S = TypeVar("S", bound=BaseSettings)


def complaints(settings: type[BaseSettings], error: ValidationError) -> list[str]:
    """One line a faulty setting: its variable, its meaning, what is wrong. Values are left out: they may be secrets."""
    meaning = {str(field.validation_alias): field.description for field in settings.model_fields.values()}
    lines = []
    for fault in error.errors(include_url=False, include_input=False):
        name = ".".join(str(part) for part in fault["loc"])
        wrong = (
            "is not set" if fault["type"] == "missing" else f"is wrong: {fault['msg'].removeprefix('Value error, ')}"
        )
        lines.append(f"setting {name} ({meaning.get(name, 'unknown')}) {wrong}")
    return lines


def load(settings: type[S]) -> S:
    """The settings from the environment; on a fault prints one line a setting to stderr and exits with status 2."""
    try:
        return settings()
    except ValidationError as error:
        print(*complaints(settings, error), sep="\n", file=sys.stderr)
        raise SystemExit(2) from None
