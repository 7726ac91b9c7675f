"""Events of a service, which leave with the transaction that they tell of: committed with it, or never there.

An event is a message in the database's log (`pg_logical_emit_message`), not a row: no table grows, nothing has to be deleted
or vacuumed, and it stands in the log once, where an INSERT and its DELETE stand twice with an index entry each. Change data
capture brings it to the topic ``events.<aggregate>``, under the aggregate's key, in commit order for a key, at least once:
whoever reads it keeps an inbox (services.kit.inbox). The record's value is the JSON object of `_event`; its headers are
``id``, ``type`` and the trace context of the request (W3C).

A service tells its events by `tell`, typed (services.kit.events). Where the statement of the effect decides whether there was
one, it sends the `message` itself.

Floats are refused: readers disagree about their digits. Money is text.
"""

import json
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, LiteralString
from uuid import UUID

from opentelemetry import propagate

from services.kit.db import Transaction
from services.kit.events import Event
from services.kit.ids import uuid7

PREFIX = "millrace.event"
"""Source files name it under ``outbox:``."""

_NAME = re.compile(r"[a-z][a-z0-9_-]{0,60}")
_EMIT: LiteralString = "SELECT pg_logical_emit_message(true, %s, %s)"

_EMIT_ALL: LiteralString = """
    SELECT pg_logical_emit_message(true, %s, message)
    FROM unnest(%s::text[]) WITH ORDINALITY AS told(message, place) ORDER BY place"""


async def tell(transaction: Transaction, *events: Event) -> None:
    """Tell of what this transaction did, in this order. It is one statement, and nothing is waited for."""
    if events:
        await transaction.execute(_EMIT_ALL, [PREFIX, [message(event) for event in events]])


def message(event: Event) -> str:
    """The event as the log takes it under PREFIX, with an id of its own; in the trace that is under way here."""
    return _text(_event(uuid7(), event.aggregate, str(event.key), event.type(), event.data()))


async def publish(
    transaction: Transaction,
    aggregate: str,
    key: UUID | str,
    type: str,  # noqa: A002
    data: Mapping[str, Any],
) -> UUID:
    """Tell of something that this transaction did; the event's id.

    Args:
        transaction: the effect's own.
        aggregate: what kind of thing it happened to, such as ``orders``: names the topic.
        key: which one: events of one key stay in order.
        type: what happened, in the past tense.
        data: JSON values without floats.

    Raises:
        ValueError: the aggregate is no name for a topic, or the data holds a float.
    """
    identifier = uuid7()
    event = _event(identifier, aggregate, str(key), type, data)
    await transaction.execute(_EMIT, [PREFIX, _text(event)])
    return identifier


def _text(event: Mapping[str, Any]) -> str:
    return json.dumps(event, ensure_ascii=False, separators=(",", ":"))


def _event(identifier: UUID, aggregate: str, key: str, kind: str, data: Mapping[str, Any]) -> dict[str, Any]:
    if not _NAME.fullmatch(aggregate):
        raise ValueError(f"{aggregate!r} names no aggregate: small letters, digits, - and _")
    _refuse_inexact(data)
    headers: dict[str, str] = {}
    propagate.inject(headers)
    return {
        "id": str(identifier),
        "aggregate": aggregate,
        "key": key,
        "type": kind,
        "at": datetime.now(UTC).isoformat(),
        "headers": headers,
        "data": data,
    }


def _refuse_inexact(value: object) -> None:
    if isinstance(value, float) or (isinstance(value, int) and abs(value) >= 2**63):
        raise ValueError(f"an event holds the number {value!r}, which not every reader keeps: write it as text")
    for each in value.values() if isinstance(value, Mapping) else value if isinstance(value, list | tuple) else ():
        _refuse_inexact(each)
