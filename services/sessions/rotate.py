"""`python -m services.sessions.rotate`: let the next key sign access tokens; a new one is published to follow it.

The running service notices by itself; tokens signed before stay good until they expire. To be done every few weeks,
and at once when the file of keys may have been seen: then twice, as soon as the second time is allowed.
"""

import sys
from pathlib import Path

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict

from services.kit.settings import load
from services.sessions.keys import KeyFileError, Keys


class KeySettings(BaseSettings):
    model_config = SettingsConfigDict(frozen=True, extra="ignore", env_ignore_empty=True)

    keys_file: Path = Field(validation_alias="SESSIONS_KEYS_FILE", description="private file of the signing keys")


def main() -> int:
    try:
        signing = Keys(load(KeySettings).keys_file).rotate()
    except KeyFileError as error:
        print(error, file=sys.stderr)
        return 1
    print(f"key {signing.kid} signs from now on")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
