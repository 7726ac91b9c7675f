"""Cursors of a deep reading: a point in time of the index and the place reached in it, signed.

A cursor belongs to the parameters it was made for and lives as long as Elasticsearch keeps the point in time. One that was
changed, or comes with other parameters, is refused as such; one that is too old is gone.
"""

import base64
import binascii
import hashlib
import hmac
import time
from typing import Any, ClassVar, NamedTuple

import orjson

from services.kit.problem import InvalidCursor, ProblemError
from services.search.schemas import DeepQuery

KEEP_ALIVE_S = 60
_SIGNATURE_BYTES = 16


class Expired(ProblemError):
    """The point in time that a cursor names is over."""

    status: ClassVar[int] = 410
    slug: ClassVar[str] = "cursor-expired"

    def __init__(self) -> None:
        super().__init__(f"this cursor was not used for {KEEP_ALIVE_S} seconds; start again without a cursor")


class Place(NamedTuple):
    """A point in time, the sort values of the last hit read, and until when (seconds since 1970) it can be asked for."""

    point: str
    after: list[Any]
    until: float


class Cursors:
    """Writes and reads cursors. `secret` must be the same in all processes of the service."""

    def __init__(self, secret: str) -> None:
        self._key = hashlib.sha256(b"millrace search cursor\0" + secret.encode()).digest()

    def write(self, asked: DeepQuery, point: str, after: list[Any]) -> str:
        """The cursor of the hits after `after`."""
        raw = orjson.dumps([point, after, time.time() + KEEP_ALIVE_S])
        return base64.urlsafe_b64encode(self._signature(asked, raw) + raw).decode().rstrip("=")

    def read(self, asked: DeepQuery, cursor: str) -> Place:
        """The place that a cursor names.

        Raises:
            InvalidCursor: it is not one of this reading.
            Expired: it is too old.
        """
        try:
            whole = base64.b64decode(cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True)
        except (binascii.Error, ValueError):
            whole = b""
        signature, raw = whole[:_SIGNATURE_BYTES], whole[_SIGNATURE_BYTES:]
        if not raw or not hmac.compare_digest(signature, self._signature(asked, raw)):
            raise InvalidCursor("this cursor is not one of this search; start again without a cursor")
        place = Place(*orjson.loads(raw))
        if place.until < time.time():
            raise Expired
        return place

    def _signature(self, asked: DeepQuery, raw: bytes) -> bytes:
        scope = asked.model_dump_json(exclude={"cursor", "limit"}).encode()
        return hmac.digest(self._key, hashlib.sha256(scope).digest() + raw, "sha256")[:_SIGNATURE_BYTES]
