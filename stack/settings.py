"""The few choices that a person makes about a stack: where its state lives and which ports it takes.

Read once, frozen afterwards. Everything else (addresses, passwords) follows from these; see stack.environment.
"""

import json
from functools import cached_property
from pathlib import Path
from typing import Any

from pydantic import Field, ValidationError, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from stack.errors import SettingError

ROOT = Path(__file__).resolve().parent.parent
"""The checkout; where the package is installed from a wheel, the folder that it was installed to."""

IN_CHECKOUT = (ROOT / "requirements.lock").is_file()
"""Whether the rest of the repository is beside this code: a wheel holds the engine and its command line only."""

PARTS = ROOT / ".parts"
"""Downloaded servers, shared by all stacks of this checkout."""

SERVICES = ("users", "products", "orders", "payments")
"""Services that own a database of the same name, with a role of the same name."""

CLIENTS = ("orders", "users", "demo")
"""Who gets a secret of its own, to ask the sessions service for access tokens."""

PORT_SPAN = 40

UNFIT = frozenset("\"'<>&\\$#;%,:*\n\r\t")
"""Characters that one or other server's settings file could not hold in a path."""


class Settings(BaseSettings):
    """Settings of one stack; environment variables MILLRACE_HOME, MILLRACE_PORT_BASE and MILLRACE_CDC_POLL_MILLISECONDS."""

    model_config = SettingsConfigDict(env_prefix="MILLRACE_", frozen=True, extra="ignore")

    home: Path = Field(
        default=ROOT / ".millrace",
        description="state folder: data, logs and passwords of this stack; a second stack needs another one",
    )
    port_base: int = Field(
        default=21000,
        ge=1024,
        le=65535 - PORT_SPAN,
        description=f"first of the {PORT_SPAN} ports that the stack takes; a second stack needs another range",
    )
    cdc_poll_milliseconds: int = Field(
        default=10,
        ge=1,
        le=10_000,
        description="how long connectors gather changes; more costs latency and saves idle CPU",
    )

    @field_validator("home")
    @classmethod
    def _absolute(cls, home: Path) -> Path:
        path = home.expanduser().resolve()
        unfit = UNFIT.intersection(str(path))
        if unfit:
            raise ValueError(f"{str(path)!r} may not contain {' '.join(map(repr, sorted(unfit)))}")
        return path

    def port(self, offset: int) -> int:
        """The port at an offset of the contract's table."""
        return self.port_base + offset

    @cached_property
    def logs(self) -> Path:
        """Folder of the processes' logs, one file each."""
        return self.home / "logs"

    @cached_property
    def environment_file(self) -> Path:
        """The running stack's variables as JSON, mode 600; it exists from the first `up` on."""
        return self.home / "environment.json"


def load_settings() -> Settings:
    """Settings from the environment; a port base that is not set is the one the state folder was started with.

    Raises SettingError naming the variable and its meaning.
    """
    settings = _read()
    if "port_base" not in settings.model_fields_set:
        remembered = stored_variables(settings).get("MILLRACE_PORT_BASE")
        if remembered is not None:
            return _read(port_base=int(remembered))
    return settings


def stored_variables(settings: Settings) -> dict[str, str]:
    """Variables that `up` wrote to the state folder, empty when there was none.

    Raises SettingError when the file cannot be read.
    """
    try:
        stored = json.loads(settings.environment_file.read_text())
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        raise SettingError(
            f"{settings.environment_file} cannot be read ({error}): run `millrace` as the user who started the stack"
        ) from error
    return {str(name): str(value) for name, value in stored.items()}


def _read(**overrides: Any) -> Settings:
    try:
        return Settings(**overrides)
    except ValidationError as error:
        first = error.errors()[0]
        field = str(first["loc"][0])
        meaning = Settings.model_fields[field].description
        raise SettingError(f"MILLRACE_{field.upper()}: {first['msg']} (it is the {meaning})") from error
