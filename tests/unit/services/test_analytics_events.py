"""What an event must say, whose clock counts, and what a record of events becomes in the warehouse."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import orjson
import pytest
from pydantic import ValidationError

from services.analytics.events import EventBatch, happened_at
from services.analytics.loader.rows import Letter, Place, Row, read
from services.analytics.recording import of_caller, record_of
from services.kit.auth import Forbidden
from services.kit.principal import Principal, Role
from services.kit.problem import Unprocessable

NOW = datetime(2026, 3, 10, 12, tzinfo=UTC)
PLACE = Place("events.clickstream", 1, 7, NOW)
PRODUCT = str(uuid4())
VIEW: dict[str, Any] = {"type": "product_view", "session": "s1", "product_id": PRODUCT}


def batch(*events: dict[str, Any], **members: Any) -> EventBatch:
    return EventBatch.model_validate_json(json.dumps({"events": events, **members}))


def lines(value: bytes, place: Place = PLACE) -> list[dict[str, Any]]:
    read_out = list(read(place, value))
    assert all(isinstance(item, Row) for item in read_out), read_out
    return [orjson.loads(item.line) for item in read_out if isinstance(item, Row)]


@pytest.mark.parametrize(
    ("at", "sent_at", "expected"),
    [
        (None, None, NOW),
        (NOW - timedelta(days=7), None, NOW - timedelta(days=7)),
        (NOW - timedelta(days=7, seconds=1), None, None),
        (NOW + timedelta(minutes=5), None, NOW + timedelta(minutes=5)),
        (NOW + timedelta(minutes=6), None, None),
        # a clock that is a year ahead: ten seconds before it was sent
        (NOW + timedelta(days=365), NOW + timedelta(days=365, seconds=10), NOW - timedelta(seconds=10)),
        (datetime.max.replace(tzinfo=UTC), NOW - timedelta(days=1), None),
    ],
)
def test_the_time_of_an_event_is_by_the_servers_clock(
    at: datetime | None, sent_at: datetime | None, expected: datetime | None
) -> None:
    assert happened_at(at, sent_at, NOW) == expected


def test_a_batch_becomes_rows_with_ids_of_the_server_or_the_sender() -> None:
    own = str(uuid4())
    sent = batch(
        VIEW | {"position": 3},
        {
            "type": "search",
            "session": "s1",
            "query": "tent",
            "filters": {"in_stock": True},
            "total": 4,
            "event_id": own,
        },
    )
    ids, value = record_of(sent, NOW)
    assert ids[1] == own and UUID(ids[0]).version == 7
    view, search = lines(value)
    assert (view["event_id"], view["source"], view["type"], view["position"]) == (
        ids[0],
        "clickstream",
        "product_view",
        3,
    )
    assert view["at"] == "2026-03-10 12:00:00.000" and view["received_at"] == "2026-03-10 12:00:00.000000"
    assert json.loads(search["rest"]) == {"filters": {"in_stock": True}}


def test_one_time_out_of_bounds_refuses_the_whole_batch() -> None:
    with pytest.raises(Unprocessable, match=r"body\.events\.1\.at"):
        record_of(batch(VIEW, VIEW | {"at": "2026-01-01T00:00:00Z"}), NOW)


@pytest.mark.parametrize(
    "event",
    [
        {"type": "page_view", "session": "s"},
        {"type": "unheard_of", "session": "s"},
        VIEW | {"surprise": 1},
        VIEW | {"session": ""},
        VIEW | {"session": "two words"},
        VIEW | {"at": "2026-03-10T12:00:00"},
        VIEW | {"position": 0},
        {"type": "cart_add", "session": "s", "product_id": PRODUCT, "quantity": "2"},
        {"type": "search", "session": "s", "query": "a\0b"},
        {"type": "search", "session": "s", "query": "a", "filters": {"deep": {"er": 1}}},
    ],
)
def test_what_an_event_must_not_be(event: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        batch(event)


def test_an_event_of_the_search_service_keeps_what_is_not_typed() -> None:
    told = {
        "event_id": str(uuid4()), "type": "click", "at": "2026-03-10T11:59:59.250Z", "session": None, "user_id": None,
        "query": "tent", "filters": {"brand": "Nordisk"}, "total": 3, "query_id": "q1", "product_id": PRODUCT,
        "position": 2, "took_ms": 7,
    }  # fmt: skip
    (row,) = lines(orjson.dumps(told), Place("events.search", 0, 1, NOW))
    assert (row["source"], row["type"], row["at"]) == ("search", "click", "2026-03-10 11:59:59.250")
    assert (row["product_id"], row["position"], row["query_id"]) == (PRODUCT, 2, "q1")
    assert json.loads(row["rest"]) == {"filters": {"brand": "Nordisk"}, "took_ms": 7}
    (bare,) = lines(orjson.dumps(told | {"query": None, "total": None, "position": None}), PLACE)
    assert not {"query", "total", "position", "session"} & set(bare)


@pytest.mark.parametrize("value", [None, b"", b"{", b"[]", b'{"events": 1}', b'{"events": [], "received_at": 3}'])
def test_a_record_that_cannot_be_read_is_a_letter(value: bytes | None) -> None:
    (letter,) = read(PLACE, value)
    assert isinstance(letter, Letter) and letter.reason.startswith("not a record of events")


def test_one_bad_event_does_not_take_its_neighbours_with_it() -> None:
    ids, value = record_of(batch(VIEW, VIEW), NOW)
    record = orjson.loads(value)
    record["events"].insert(1, {"type": "product_view", "session": "s1"})
    first, bad, second = read(PLACE, orjson.dumps(record))
    assert isinstance(first, Row) and isinstance(second, Row) and isinstance(bad, Letter)
    assert (bad.number, second.number) == (1, 2) and "product_id" in bad.reason
    assert ids == [orjson.loads(first.line)["event_id"], orjson.loads(second.line)["event_id"]]


ADA, EVE = UUID(int=1), UUID(int=2)
CUSTOMER = Principal(str(ADA), "user", frozenset({Role.CUSTOMER}))
FRONT = Principal("demo", "service", frozenset({Role.OPERATOR}))


@pytest.mark.parametrize(
    ("caller", "named", "told"),
    [
        (None, None, None),
        (CUSTOMER, None, ADA),
        (CUSTOMER, ADA, ADA),
        (FRONT, EVE, EVE),
        (FRONT, None, None),
    ],
)
def test_events_are_of_whom_the_token_says(caller: Principal | None, named: UUID | None, told: UUID | None) -> None:
    sent = batch(VIEW | ({} if named is None else {"user_id": str(named)}))
    assert [event.user_id for event in of_caller(sent, caller).events] == [told]


@pytest.mark.parametrize("caller", [None, CUSTOMER, Principal("orders", "service", frozenset())])
def test_nobody_tells_for_somebody_else(caller: Principal | None) -> None:
    with pytest.raises(Forbidden, match=r"body\.events\.1\.user_id"):
        of_caller(batch(VIEW, VIEW | {"user_id": str(EVE)}), caller)
