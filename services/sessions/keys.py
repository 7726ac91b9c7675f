"""The keys that sign access tokens: Ed25519 pairs in one private file, never in Redis and never in a log.

A key is first published (`next`), so that everybody knows it before it signs; then it signs; then it stays published
until the last token that it signed has expired (`retired`). A running service notices a rotation by the file's time.

Refuses a file that others can read, and a second rotation while tokens of the key before the last may still hold.
"""

import json
import os
import time
from base64 import urlsafe_b64decode, urlsafe_b64encode
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import jwt
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from jwt.algorithms import OKPAlgorithm

from services.kit.ids import uuid7
from services.kit.tokens import ALGORITHM, AUDIENCE, ISSUER, LIFETIME_S

# Clocks differ a little, and verifiers allow for that.
_RETIRED_FOR_S = LIFETIME_S + 60


class KeyFileError(Exception):
    """The file of keys cannot be used; the message says why."""


@dataclass(frozen=True, slots=True)
class Key:
    kid: str
    seed: str
    """The 32 private bytes in base64."""
    state: Literal["next", "signing", "retired"]
    retired_at: float = 0.0
    """Seconds since 1970, of a retired one."""

    def private(self) -> Ed25519PrivateKey:
        return Ed25519PrivateKey.from_private_bytes(urlsafe_b64decode(self.seed))

    def public(self) -> dict[str, Any]:
        """As it stands in the key set."""
        jwk = OKPAlgorithm.to_jwk(self.private().public_key(), as_dict=True)
        return {**jwk, "kid": self.kid, "use": "sig", "alg": ALGORITHM}


def new_key(state: Literal["next", "signing"]) -> Key:
    return Key(uuid7().hex, urlsafe_b64encode(Ed25519PrivateKey.generate().private_bytes_raw()).decode(), state)


def rotated(keys: list[Key], now: float) -> list[Key]:
    """The keys after a rotation: the next one signs, the signing one retires, a new one is next."""
    if any(key.state == "retired" and now - key.retired_at < _RETIRED_FOR_S for key in keys):
        raise KeyFileError(f"the last rotation was less than {_RETIRED_FOR_S} s ago; rotate again when that has passed")
    states: dict[str, Key] = {key.state: key for key in keys}
    return [
        new_key("next"),
        replace(states["next"], state="signing"),
        replace(states["signing"], state="retired", retired_at=now),
    ]


class Keys:
    """The file as a running service uses it; made with two keys when it is not there."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._read_at = (0, 0)
        self._keys: list[Key] = []
        if not path.exists():
            _create(path, [new_key("signing"), new_key("next")])
        self.current()

    def current(self) -> list[Key]:
        """The keys as they are now. Raises KeyFileError."""
        try:
            stat = self._path.stat()
            if stat.st_mode & 0o077:
                raise KeyFileError(f"{self._path} can be read by others: chmod 600 it, then rotate the keys")
            if (stat.st_mtime_ns, stat.st_ino) != self._read_at:
                self._keys = [Key(**key) for key in json.loads(self._path.read_text())]
                self._read_at = (stat.st_mtime_ns, stat.st_ino)
        except (OSError, ValueError, TypeError) as error:
            raise KeyFileError(f"{self._path} cannot be read as a file of keys ({type(error).__name__})") from error
        return self._keys

    def rotate(self) -> Key:
        """The key that signs from now on."""
        keys = rotated(self.current(), time.time())
        _write(self._path, keys)
        return next(key for key in keys if key.state == "signing")

    def published(self) -> dict[str, Any]:
        """The JSON Web Key Set."""
        now = time.time()
        shown = [k for k in self.current() if k.state != "retired" or now - k.retired_at < _RETIRED_FOR_S]
        return {"keys": [key.public() for key in shown]}

    async def fetch(self) -> dict[str, Any]:
        """The same, as a verifier in this process asks for it."""
        return self.published()

    def sign(
        self, subject: str, kind: Literal["user", "service"], roles: list[str], lifetime_s: int = LIFETIME_S
    ) -> str:
        """A token that names who it is for and what they may do, and nothing personal."""
        key = next(key for key in self.current() if key.state == "signing")
        now = int(time.time())
        claims = {
            "iss": ISSUER,
            "aud": AUDIENCE,
            "sub": subject,
            "kind": kind,
            "roles": roles,
            "iat": now,
            "exp": now + lifetime_s,
            "jti": uuid7().hex,
        }
        return jwt.encode(claims, key.private(), ALGORITHM, headers={"kid": key.kid})


def _new_file(path: Path, keys: list[Key]) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w") as file:
        json.dump([{name: getattr(key, name) for name in Key.__slots__} for key in keys], file, indent=1)
        file.flush()
        os.fsync(file.fileno())


def _create(path: Path, keys: list[Key]) -> None:
    """Complete or not at all; when two processes begin at once the first one's stays."""
    path.parent.mkdir(parents=True, exist_ok=True)
    made = path.with_name(f"{path.name}.{os.getpid()}")
    _new_file(made, keys)
    with suppress(FileExistsError):
        os.link(made, path)
    made.unlink()


def _write(path: Path, keys: list[Key]) -> None:
    made = path.with_name(f"{path.name}.{os.getpid()}")
    _new_file(made, keys)
    made.replace(path)
