"""How far a caller's own writes reach in the database's log, so that its next read waits for them.

After a write the reply carries `X-Commit-LSN`; a request that brings it back is never answered from a state older than
that write. The token is signed by the service: nobody can make reads wait for a position that was never written.
The request's `Scope` carries it between the HTTP shell and the pools, so that no service has to hand it on.
"""

import base64
import binascii
import hashlib
import hmac
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any

from services.kit.pagination import CURSOR_PATTERN
from services.kit.problem import MalformedHeader

HEADER = "x-commit-lsn"
_SIGNATURE_BYTES = 12
_TOKEN = {"type": "string", "maxLength": 200}


@dataclass(slots=True)
class Scope:
    """One request's place in the log. Shared by the tasks that the request starts."""

    given: str | None = None
    """The token that the request brought, not yet checked."""
    writes: bool = False
    """Whether the request may write: only then are positions asked for."""
    lsn: int | None = None
    """Where the newest write of this request ends."""
    token: str | None = None
    """The same, as the caller gets it."""


scope: ContextVar[Scope | None] = ContextVar("position", default=None)


class InvalidPosition(MalformedHeader):
    slug = "invalid-position"


class Positions:
    """Writes and reads the tokens of one database. `secret` must be the same in all processes of the service."""

    def __init__(self, secret: str) -> None:
        self._key = hashlib.sha256(b"millrace position\0" + secret.encode()).digest()

    def write(self, lsn: int) -> str:
        raw = lsn.to_bytes(8, "big")
        return base64.urlsafe_b64encode(raw + self._signature(raw)).decode().rstrip("=")

    def read(self, token: str) -> int:
        """The position. Raises InvalidPosition for a token of another service, or one that was changed."""
        try:
            raw = base64.b64decode(token + "=" * (-len(token) % 4), altchars=b"-_", validate=True)
        except (binascii.Error, ValueError):
            raw = b""
        if len(raw) != 8 + _SIGNATURE_BYTES or not hmac.compare_digest(raw[8:], self._signature(raw[:8])):
            raise InvalidPosition("this X-Commit-LSN is not one of this service; send what its last write answered")
        return int.from_bytes(raw[:8], "big")

    def _signature(self, raw: bytes) -> bytes:
        return hmac.digest(self._key, raw, "sha256")[:_SIGNATURE_BYTES]

    def required(self) -> int | None:
        """The position that this request's reads must have reached; None when any state will do."""
        request = scope.get()
        if request is None:
            return None
        given = None if request.given is None else self.read(request.given)
        return max((lsn for lsn in (given, request.lsn) if lsn is not None), default=None)

    def wrote(self, lsn: int) -> None:
        """Note a committed write of this request."""
        request = scope.get()
        if request is not None and lsn > (request.lsn or 0):
            request.lsn, request.token = lsn, self.write(lsn)


def _is_keyset(parameter: dict[str, Any]) -> bool:
    return parameter["name"] == "cursor" and any(
        choice.get("pattern") == CURSOR_PATTERN for choice in parameter["schema"].get("anyOf", [])
    )


def describe(paths: dict[str, Any]) -> None:
    """Add the header to an OpenAPI document's operations: answered by every write, taken by every list of a database."""
    taken = {
        "name": "X-Commit-LSN",
        "in": "header",
        "required": False,
        "schema": {**_TOKEN, "pattern": "^[A-Za-z0-9_-]{27}$"},
        "description": "from the answer of the caller's last write: the list is not older than that",
    }
    answered = {"description": "where this write ends in the log, for the next read", "schema": _TOKEN}
    for operations in paths.values():
        for method, operation in operations.items():
            if method != "get":
                for status, response in operation["responses"].items():
                    if status.startswith("2"):
                        response.setdefault("headers", {})["X-Commit-LSN"] = answered
            elif any(map(_is_keyset, operation.get("parameters", []))):
                operation["parameters"].append(taken)
