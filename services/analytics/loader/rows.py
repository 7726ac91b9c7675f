"""Kafka records as rows of the table of events, or as letters for what cannot be one.

Two kinds of record: a batch of the shop front (`events.clickstream`, one record a request) and a single event of the search
service (`events.search`). What is typed here has its column; every other member goes into `rest`, as JSON.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Annotated, Any, Literal
from uuid import UUID

import orjson
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from services.analytics.events import Event

COLUMNS = (
    "event_id", "source", "type", "at", "received_at", "session", "user_id", "product_id", "order_id",
    "query", "query_id", "quantity", "position", "total",
)  # fmt: skip
_ENVELOPE = TypeAdapter(dict[str, Any])
_EVENT: TypeAdapter[Any] = TypeAdapter(Event)
_YEARS = (2000, 2200)
"""What a DateTime64 holds with room to spare; a time outside is a fault of the sender."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where a record lies, and when the broker got it."""

    topic: str
    partition: int
    offset: int
    at: datetime


@dataclass(frozen=True, slots=True)
class Row:
    """One event: a line of JSONEachRow. `number` counts the events of its record from 0."""

    place: Place
    number: int
    line: bytes


@dataclass(frozen=True, slots=True)
class Letter:
    """What could not be loaded, and why."""

    place: Place
    number: int
    reason: str
    body: bytes


class _Searched(BaseModel):
    """An event of the search service; unknown members are kept."""

    model_config = ConfigDict(extra="allow")

    event_id: UUID
    type: Literal["search", "click"]
    at: AwareDatetime
    session: Annotated[str, Field(max_length=200)] | None = None
    user_id: UUID | None = None
    query: Annotated[str, Field(max_length=1000)] | None = None
    query_id: UUID | Annotated[str, Field(max_length=200)] | None = None
    product_id: UUID | None = None
    position: Annotated[int, Field(ge=0, lt=2**32)] | None = None
    total: Annotated[int, Field(ge=0, lt=2**63)] | None = None


def read(place: Place, value: bytes | None) -> Iterator[Row | Letter]:
    """The events of one record, each as a row or as a letter; a record that is not even JSON is one letter."""
    try:
        record = _ENVELOPE.validate_python(orjson.loads(value or b""))
        if "events" in record:
            received_at, events = datetime.fromisoformat(record["received_at"]).astimezone(UTC), list(record["events"])
        else:
            received_at, events = place.at, [record]
    except (ValueError, TypeError, KeyError) as error:
        yield Letter(place, 0, f"not a record of events: {_first_line(error)}", value or b"")
        return
    for number, event in enumerate(events):
        try:
            yield Row(place, number, _line(event, received_at, batched="events" in record))
        except (ValueError, TypeError) as error:
            yield Letter(place, number, _first_line(error), orjson.dumps(event))


def _line(event: Any, received_at: datetime, *, batched: bool) -> bytes:
    known = (_EVENT if batched else _SEARCHED).validate_python(event)
    if known.event_id is None or known.at is None:
        raise ValueError("an event without event_id or at; only the analytics service writes batches")
    for at in (known.at, received_at):
        if not _YEARS[0] <= at.year < _YEARS[1]:
            raise ValueError(f"a time is in the year {at.year}")
    told = known.model_dump(mode="json", exclude_none=True)
    told |= {
        "source": "clickstream" if batched else "search",
        "at": _time(known.at, "milliseconds"),
        "received_at": _time(received_at, "microseconds"),
    }
    row = {name: told.pop(name) for name in COLUMNS if name in told}
    return orjson.dumps(row | {"rest": orjson.dumps(told).decode()})


_SEARCHED: TypeAdapter[Any] = TypeAdapter(_Searched)


def _time(at: datetime, precision: str) -> str:
    return at.astimezone(UTC).replace(tzinfo=None).isoformat(" ", precision)


def _first_line(error: Exception) -> str:
    if isinstance(error, ValidationError):
        fault = error.errors(include_url=False, include_input=False)[0]
        return f"{'.'.join(map(str, fault['loc']))}: {fault['msg']}"[:500]
    return (str(error).splitlines() or [type(error).__name__])[0][:500]
