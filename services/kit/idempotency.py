"""Requests that can be repeated: an `Idempotency-Key` (IETF draft 07) has one effect, and every repetition its reply.

    first time                      the effect and the stored reply are committed together, or neither is
    again, same request             the stored reply, byte for byte, and `Idempotency-Replayed: true`
    again, while the first runs     409 request-in-flight, told by an advisory lock: nobody queues behind the first
    again, other method/path/body   422 idempotency-key-reused
    no key where one is required    400 idempotency-key-missing

A problem that left nothing behind (its transaction was rolled back) and every 5xx is not stored: the repetition is tried
afresh. Keys belong to their principal. They are forgotten after KEPT_HOURS (services.kit.retention).

An effect that outlasts one transaction (a saga) uses two: `claim` commits the key beside the effect's first row,
`settle` stores the reply at the end, `forget` gives the key back when nothing came of it. Both take the `Key`, which can be
kept with the saga: whoever finishes it, settles it. Until then repetitions get 409.
"""

import hashlib
import hmac
import re
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Any, LiteralString

from fastapi import Depends, Header, Request
from psycopg.types.json import Jsonb
from pydantic import BaseModel, WithJsonSchema
from starlette.responses import Response

from services.kit.db import Database, Primary, Transaction
from services.kit.declarations import REQUIRED
from services.kit.problem import Conflict, Malformed, MalformedHeader, Unprocessable, declared

KEPT_HOURS = 24
_SWEEP_ROWS = 5000
# A saga can be stuck for days; nobody waits for one for a month.
_CLAIMED_TIMES = 30
_REPLAYED = "Idempotency-Replayed"
_IN_FLIGHT = "the first request with this Idempotency-Key is still being worked on; repeat it later"
_STORED: LiteralString = (
    "SELECT fingerprint, status, headers, body FROM service.idempotency WHERE principal = %s AND key = %s"
)
# The draft's structured string in quotes, or the bare key that most clients send.
_KEY_SCHEMA = {"type": "string", "pattern": r'^("[ !#-\[\]-~]{1,255}"|[!#-~]{1,255})$'}
_KEY = re.compile(r'"([\x20\x21\x23-\x5b\x5d-\x7e]{1,255})"|([\x21\x23-\x7e]{1,255})')

RESPONSES: dict[int | str, dict[str, Any]] = declared(400, 409, 422)
"""`responses=` of a route that takes `Once`."""


class KeyMissing(Malformed):
    slug = "idempotency-key-missing"


class KeyReused(Unprocessable):
    slug = "idempotency-key-reused"


class InFlight(Conflict):
    slug = "request-in-flight"
    retry_after_s = 1


@dataclass(frozen=True, slots=True)
class Key:
    """One request of one principal. `fingerprint` is a keyed SHA-256 (HMAC) of its method, path and body, in hexadecimal."""

    principal: str
    key: str
    fingerprint: str


@dataclass(frozen=True, slots=True)
class Reply:
    status: int
    body: bytes
    headers: dict[str, str]
    """Those that belong to the reply itself, such as etag; not those of one delivery."""

    def response(self) -> Response:
        return Response(self.body, self.status, self.headers)


@dataclass(frozen=True, slots=True)
class _Lock:
    free: bool


@dataclass(frozen=True, slots=True)
class _Stored:
    fingerprint: bytes
    status: int | None
    headers: dict[str, str]
    body: bytes


@dataclass(frozen=True, slots=True)
class _Count:
    rows: int


def reply(status: int, body: BaseModel, **headers: str) -> Reply:
    """A reply of JSON."""
    return Reply(status, body.model_dump_json().encode(), {"content-type": "application/json", **headers})


class Once:
    """A request as a service sees it: with a key it has one effect, without one it is simply done."""

    def __init__(self, key: Key | None, primary: Primary) -> None:
        self.key = key
        self._primary = primary

    async def run(self, effect: Callable[[Transaction], Awaitable[Reply]]) -> Response:
        """The reply of `effect`, which writes in the transaction that it is given, or the stored one."""
        async with self._primary.transaction() as transaction:
            if (stored := await self._recalled(transaction)) is not None:
                return stored
            made = await effect(transaction)
            if self.key is not None:
                await settle(transaction, self.key, made)
        return made.response()

    async def recall(self) -> Response | None:
        """The stored reply, or None when nobody has the key; for an effect that claims it later. Raises as `claim`."""
        stored = None if self.key is None else await self._primary.one(_Stored, _STORED, _named(self.key))
        return None if stored is None else self._of(stored)

    async def claim(self, transaction: Transaction) -> Response | None:
        """The stored reply, or None when the caller is the one to bring the effect about: the key is taken when
        `transaction` commits. Raises InFlight and KeyReused."""
        if (stored := await self._recalled(transaction)) is None and self.key is not None:
            await transaction.execute(
                "INSERT INTO service.idempotency (principal, key, fingerprint) VALUES (%s, %s, %s)",
                [self.key.principal, self.key.key, bytes.fromhex(self.key.fingerprint)],
            )
        return stored

    async def _recalled(self, transaction: Transaction) -> Response | None:
        if self.key is None:
            return None
        # One round trip, two snapshots: the row is read after the lock was had, so a committed reply is seen.
        lock = await transaction.send(_Lock, "SELECT pg_try_advisory_xact_lock(%s) AS free", [_lock_number(self.key)])
        row = await transaction.send(_Stored, _STORED, _named(self.key))
        free, stored = await lock.fetchone(), await row.fetchone()
        if stored is not None:
            return self._of(stored)
        if free is None or not free.free:
            raise InFlight(_IN_FLIGHT)
        return None

    def _of(self, stored: _Stored) -> Response:
        """The reply of a row, for this request."""
        if self.key is None or stored.fingerprint != bytes.fromhex(self.key.fingerprint):
            raise KeyReused("this Idempotency-Key was used for another request; take a new one")
        if stored.status is None:
            raise InFlight(_IN_FLIGHT)
        return Response(stored.body, stored.status, {**stored.headers, _REPLAYED: "true"})


async def settle(source: Primary | Transaction, key: Key, made: Reply) -> None:
    """Store the reply, unless there is one already. 5xx are refused: they are not an outcome."""
    if made.status >= 500:
        raise ValueError(f"a reply of status {made.status} is not to be stored; forget the key instead")
    await source.one(
        _Lock,
        """INSERT INTO service.idempotency AS kept (principal, key, fingerprint, status, headers, body)
           VALUES (%s, %s, %s, %s, %s, %s)
           ON CONFLICT (principal, key) DO UPDATE
               SET status = excluded.status, headers = excluded.headers, body = excluded.body
               WHERE kept.status IS NULL
           RETURNING true AS free""",
        [key.principal, key.key, bytes.fromhex(key.fingerprint), made.status, Jsonb(made.headers), made.body],
    )


async def forget(source: Primary | Transaction, key: Key, claimed_before: datetime | None = None) -> None:
    """Give a claimed key back: nothing came of the request, and its repetition is to be tried afresh.

    Where this may be run twice, `claimed_before` keeps it from giving back what the repetition has claimed since.
    """
    await source.one(
        _Lock,
        """DELETE FROM service.idempotency
           WHERE principal = %s AND key = %s AND status IS NULL AND created_at <= coalesce(%s, created_at)
           RETURNING true AS free""",
        [*_named(key), claimed_before],
    )


async def sweep(primary: Primary, hours: float = KEPT_HOURS) -> int:
    """Remove keys that are older than `hours`, some thousands at most; how many there were.

    A key whose effect is still under way stays for longer: given up too early, its repetition would be a second effect.
    """
    swept = await primary.one(
        _Count,
        """WITH old AS (
               DELETE FROM service.idempotency WHERE (principal, key) IN (
                   SELECT principal, key FROM service.idempotency
                   WHERE created_at < now() - make_interval(secs => %(kept)s)
                       AND (status IS NOT NULL OR created_at < now() - make_interval(secs => %(claimed)s))
                   ORDER BY created_at LIMIT %(lot)s FOR UPDATE SKIP LOCKED) RETURNING 1)
           SELECT count(*) AS rows FROM old""",
        {"kept": hours * 3600, "claimed": hours * 3600 * _CLAIMED_TIMES, "lot": _SWEEP_ROWS},
    )
    return 0 if swept is None else swept.rows


def fingerprint(secret: bytes, method: str, path: str, body: bytes) -> str:
    """What must be the same in a repetition. `path` includes the query. Bodies hold passwords: without the secret nobody
    who reads the table can try which body it was."""
    return hmac.new(secret, b"\0".join((method.encode(), path.encode(), body)), hashlib.sha256).hexdigest()


def _named(key: Key) -> list[str]:
    return [key.principal, key.key]


def _lock_number(key: Key) -> int:
    digest = hashlib.sha256(f"idempotency\0{key.principal}\0{key.key}".encode()).digest()
    return int.from_bytes(digest[:8], "big", signed=True)


_WHAT = "a name of the caller's choice: repetitions have no further effect"


async def _once(
    request: Request,
    header: Annotated[
        str | None, Header(alias="Idempotency-Key", description=_WHAT), WithJsonSchema(_KEY_SCHEMA)
    ] = None,
) -> Once:
    database: Database = request.app.state.database
    if header is None:
        return Once(None, database.primary)
    match = _KEY.fullmatch(header)
    if match is None:
        raise MalformedHeader("Idempotency-Key takes 1 to 255 printable ASCII characters, a UUID is best")
    path = f"{request.url.path}?{request.url.query}"
    mark = fingerprint(database.key, request.method, path, await request.body())
    # Known once a dependency that ran before this one has identified the caller.
    caller = getattr(request.state, "principal", None)
    return Once(Key(str(getattr(caller, "subject", "anonymous")), match[1] or match[2], mark), database.primary)


async def _required_once(
    request: Request,
    header: Annotated[
        str | None,
        Header(alias="Idempotency-Key", description=f"required: {_WHAT}"),
        WithJsonSchema({**_KEY_SCHEMA, REQUIRED: True}),
    ] = None,
) -> Once:
    if header is None:
        raise KeyMissing("send an Idempotency-Key: without one a repetition could not be told from a second request")
    return await _once(request, header)


Optional = Annotated[Once, Depends(_once)]
Required = Annotated[Once, Depends(_required_once)]
