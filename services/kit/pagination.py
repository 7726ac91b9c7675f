"""Keyset pages over ids: a page starts after the last id of the one before, so it costs the same at any depth.

A cursor is opaque and signed for the list it came from; one that was changed or taken from another list is refused.
"""

import base64
import binascii
import hashlib
import hmac
from collections.abc import Callable, Sequence
from typing import Annotated, Generic, TypeVar
from uuid import UUID

from fastapi import Query
from pydantic import BaseModel, Field, StringConstraints

from services.kit.problem import InvalidCursor

MAX_LIMIT = 500
_SIGNATURE_BYTES = 12
CURSOR_PATTERN = "^[A-Za-z0-9_-]{38}$"
"""An id and its signature, 28 bytes, in base64."""

Limit = Annotated[int, Query(ge=1, le=MAX_LIMIT, description="how many items at most")]
Cursor = Annotated[
    Annotated[str, StringConstraints(pattern=CURSOR_PATTERN)] | None,
    Query(description="`next_cursor` of the page before"),
]

# Below every id, so that the first page needs no query of its own.
BEGINNING = UUID(int=0)

T = TypeVar("T")
R = TypeVar("R")


class Page(BaseModel, Generic[T]):
    items: list[T]
    next_cursor: str | None = Field(description="give it back as `cursor` for the next page; null at the end")


class Cursors:
    """Writes and reads the cursors of one service. `secret` must be the same in all its processes."""

    def __init__(self, secret: str) -> None:
        self._key = hashlib.sha256(b"millrace cursor\0" + secret.encode()).digest()

    def _signature(self, scope: str, after: bytes) -> bytes:
        return hmac.digest(self._key, scope.encode() + b"\0" + after, "sha256")[:_SIGNATURE_BYTES]

    def write(self, scope: str, after: UUID) -> str:
        raw = after.bytes + self._signature(scope, after.bytes)
        return base64.urlsafe_b64encode(raw).decode().rstrip("=")

    def read(self, scope: str, cursor: str | None) -> UUID:
        """The id after which the page starts; BEGINNING without a cursor. `scope` names the list and its filters."""
        if cursor is None:
            return BEGINNING
        try:
            raw = base64.b64decode(cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True)
        except (binascii.Error, ValueError):
            raw = b""
        after, signature = raw[:16], raw[16:]
        if len(after) != 16 or not hmac.compare_digest(signature, self._signature(scope, after)):
            raise InvalidCursor("this cursor is not one of this list; start again without a cursor")
        return UUID(bytes=after)

    def page(
        self, scope: str, rows: Sequence[R], limit: int, id_of: Callable[[R], UUID], show: Callable[[R], T]
    ) -> Page[T]:
        """The page of `rows`, which were read with a limit one higher to know whether more follow."""
        shown = rows[:limit]
        more = len(rows) > limit
        return Page(
            items=[show(row) for row in shown], next_cursor=self.write(scope, id_of(shown[-1])) if more else None
        )
