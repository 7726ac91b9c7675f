"""Events from the shop front into the warehouse: every acknowledged one once, whatever dies; the rest refused whole."""

import json
import socket
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import pytest
from clickhouse_connect.driver.client import Client
from confluent_kafka import Consumer, Producer, TopicPartition

from cdc import clickhouse
from services.analytics.clickhouse import Warehouse, connect
from services.analytics.loader import tables
from services.analytics.loader.rows import Place, Row
from services.sessions.keys import Keys
from stack.ports import OFFSETS
from tests.conftest import Stack
from tests.integration.analytics.serving import operator, served

PATIENCE_S = 60.0


@pytest.fixture(scope="module")
def http(stack: Stack) -> Iterator[httpx.Client]:
    with client_of(stack) as client:
        yield client


def client_of(stack: Stack) -> httpx.Client:
    return httpx.Client(base_url=stack.env["ANALYTICS_URL"], timeout=30, trust_env=False, auth=operator(stack.env))


@pytest.fixture(scope="module")
def warehouse(stack: Stack) -> Iterator[Client]:
    client = clickhouse.connect(stack.env["CLICKHOUSE_URL"], stack.env["CLICKHOUSE_READER_PASSWORD"], "reader")
    yield client
    client.close()


@pytest.fixture
def session() -> str:
    return uuid4().hex


def view(session: str, **members: Any) -> dict[str, Any]:
    return {"type": "product_view", "session": session, "product_id": str(uuid4()), **members}


def send(http: httpx.Client, *events: dict[str, Any]) -> list[str]:
    answer = http.post("/events", json={"events": events})
    assert answer.status_code == 202, answer.text
    ids: list[str] = answer.json()["event_ids"]
    return ids


def count(warehouse: Client, session: str) -> int:
    found: int = warehouse.query(
        "SELECT count() FROM raw_clickstream.events FINAL WHERE session = {session:String}", {"session": session}
    ).result_rows[0][0]
    return found


def wait_for(warehouse: Client, session: str, number: int) -> None:
    """Return once so many events of the session are there, and not more."""
    deadline = time.monotonic() + PATIENCE_S
    while (found := count(warehouse, session)) < number:
        assert time.monotonic() < deadline, f"{found} of {number} events are loaded"
        time.sleep(0.1)
    assert found == number


def wait_until_all_is_loaded(stack: Stack) -> None:
    """Return once the loader has told Kafka that it has loaded everything that was acknowledged before this call."""
    reader = Consumer({"bootstrap.servers": stack.env["KAFKA_BOOTSTRAP"], "group.id": "clickstream-loader"})
    try:
        places = [TopicPartition("events.clickstream", number) for number in range(4)]
        ends = [reader.get_watermark_offsets(place, timeout=10)[1] for place in places]
        deadline = time.monotonic() + PATIENCE_S
        while any(max(0, at.offset) < end for at, end in zip(reader.committed(places, timeout=10), ends, strict=True)):
            assert time.monotonic() < deadline, "the loader does not come to the end"
            time.sleep(0.1)
    finally:
        reader.close()


def test_an_event_is_counted_once_however_often_it_is_sent(
    stack: Stack, http: httpx.Client, warehouse: Client, session: str
) -> None:
    own = str(uuid4())
    told = view(session, event_id=own, position=4)
    assert send(http, told) == [own]
    assert send(http, told, told) == [own, own]
    made = send(
        http, {"type": "page_view", "session": session, "path": "/tents?page=2", "referrer": "https://a.example/"}
    )
    wait_until_all_is_loaded(stack)
    assert count(warehouse, session) == 2
    rows = warehouse.query(
        "SELECT toString(event_id), source, type, toString(product_id), position, rest FROM raw_clickstream.events FINAL "
        "WHERE session = {session:String} ORDER BY type",
        {"session": session},
    ).result_rows
    assert rows[0][:3] == (made[0], "clickstream", "page_view")
    assert json.loads(rows[0][5]) == {"path": "/tents?page=2", "referrer": "https://a.example/"}
    assert rows[1] == (own, "clickstream", "product_view", told["product_id"], 4, "{}")


def test_searches_come_in_too_and_what_cannot_be_read_is_parked(
    stack: Stack, http: httpx.Client, warehouse: Client, session: str
) -> None:
    event = {
        "event_id": str(uuid4()), "type": "search", "at": "2026-03-10T11:59:59.250Z", "session": session, "user_id": None,
        "query": "tent", "filters": {"brand": ["Nordisk"]}, "total": 3, "query_id": "q1", "product_id": None, "position": None,
    }  # fmt: skip
    producer = Producer({"bootstrap.servers": stack.env["KAFKA_BOOTSTRAP"], "acks": "all"})
    for value in (json.dumps(event), "no JSON " + session, json.dumps(event | {"event_id": "none"}), json.dumps(event)):
        producer.produce("events.search", value.encode())
    assert producer.flush(20) == 0
    wait_for(warehouse, session, 1)
    deadline = time.monotonic() + PATIENCE_S
    query = "SELECT reason FROM raw_clickstream.parked FINAL WHERE position(body, {session:String}) > 0 ORDER BY reason"
    while len(reasons := [row[0] for row in warehouse.query(query, {"session": session}).result_rows]) < 2:
        assert time.monotonic() < deadline, reasons
        time.sleep(0.1)
    assert reasons[0].startswith("event_id: ") and reasons[1].startswith("not a record of events: ")
    assert count(warehouse, session) == 1
    told = httpx.get(
        f"http://127.0.0.1:{stack.settings.port(OFFSETS['clickstream-loader'])}/metrics", trust_env=False
    ).text
    assert 'millrace_clickstream_events_parked_total{topic="events.search"}' in told
    assert 'millrace_clickstream_lag_records{topic="events.clickstream"}' in told


def test_every_acknowledged_event_is_loaded_once_though_the_loader_is_killed(
    stack: Stack, http: httpx.Client, warehouse: Client, session: str
) -> None:
    done = threading.Event()

    def shopper(_: int) -> int:
        acknowledged = 0
        with client_of(stack) as own:
            while not done.is_set():
                acknowledged += len(send(own, *(view(session) for _ in range(50))))
        return acknowledged

    with ThreadPoolExecutor(3) as pool:
        work = [pool.submit(shopper, number) for number in range(3)]
        try:
            for _ in range(2):
                before = count(warehouse, session)
                deadline = time.monotonic() + PATIENCE_S
                while count(warehouse, session) <= before + 500:  # so that it dies within its work
                    assert time.monotonic() < deadline
                    time.sleep(0.02)
                stack.kill("clickstream-loader")
        finally:
            done.set()
        acknowledged = sum(each.result() for each in work)
    wait_until_all_is_loaded(stack)
    assert acknowledged > 1000
    assert count(warehouse, session) == acknowledged
    stack.wait_until_healthy()


def test_a_row_that_clickhouse_refuses_does_not_take_its_neighbours_with_it(
    stack: Stack, warehouse: Client, session: str
) -> None:
    """The loader refuses such rows itself; should the two ever differ, the row is kept apart and the others go in."""
    own = connect(stack.env["CLICKHOUSE_URL"], "clickstream", stack.env["CLICKHOUSE_CLICKSTREAM_PASSWORD"])
    place = Place("events.clickstream", 0, 0, datetime.now(UTC))
    told = {
        "source": "clickstream",
        "session": session,
        "received_at": "2026-03-10 12:00:00.000000",
        "type": "page_view",
    }
    lines = [told | {"event_id": str(uuid4())} for _ in range(7)]
    lines[4] |= {"quantity": "many"}
    rows = [Row(place, number, json.dumps(line).encode()) for number, line in enumerate(lines)]
    (letter,) = tables.insert(own, rows)
    own.close()
    assert letter.number == 4 and "quantity" in letter.reason
    assert count(warehouse, session) == 6


def test_the_funnel_counts_sessions_that_went_the_way_in_order(
    stack: Stack, http: httpx.Client, warehouse: Client
) -> None:
    noon = (datetime.now(UTC) - timedelta(days=3)).replace(hour=12, minute=0, second=0, microsecond=0)
    url = f"/funnel?from={noon:%Y-%m-%d}&to={noon:%Y-%m-%d}&within_seconds=600"

    def told() -> tuple[int, ...]:
        answer = http.get(url).json()
        return answer["sessions"], *(step["sessions"] for step in answer["steps"])

    before = told()
    ways = (
        [("product_view", 0), ("cart_add", 5), ("order_placed", 9)],
        [("product_view", 0), ("cart_add", 5), ("order_placed", 11)],  # too late
        [("product_view", 0), ("product_view", 1)],
        [("cart_add", 0), ("product_view", 1)],  # the other way round
        [("page_view", 0)],
    )
    more = {
        "product_view": {"product_id": str(uuid4())}, "cart_add": {"product_id": str(uuid4())},
        "order_placed": {"order_id": str(uuid4())}, "page_view": {"path": "/"},
    }  # fmt: skip
    for way in ways:
        session = uuid4().hex
        send(
            http,
            *(
                {"type": step, "session": session, "at": (noon + timedelta(minutes=at)).isoformat(), **more[step]}
                for step, at in way
            ),
        )
    wait_until_all_is_loaded(stack)
    deadline = time.monotonic() + PATIENCE_S
    while (after := told()) == before:  # answers are kept for some seconds
        assert time.monotonic() < deadline
        time.sleep(0.2)
    assert tuple(b - a for a, b in zip(before, after, strict=True)) == (5, 4, 2, 1)


def test_while_kafka_is_away_events_are_refused_and_what_waits_is_bounded(stack: Stack) -> None:
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))  # and never listens
        bootstrap = f"127.0.0.1:{nobody.getsockname()[1]}"
        reader = Warehouse(stack.env["CLICKHOUSE_URL"], "analytics", stack.env["CLICKHOUSE_ANALYTICS_PASSWORD"])
        with (
            served(stack.env, reader, bootstrap=bootstrap, waiting_records=2, delivery_ms=1500) as api,
            ThreadPoolExecutor(6) as pool,
        ):
            body: dict[str, Any] = {"events": [view("s")]}
            answers = [answer.result() for answer in [pool.submit(api.post, "/events", json=body) for _ in range(6)]]
            assert api.get("/readyz").status_code == 503
    details = sorted(answer.json()["detail"] for answer in answers)
    assert {answer.status_code for answer in answers} == {503}
    assert {answer.headers["retry-after"] for answer in answers} == {"1"}
    assert (
        details
        == ["the events could not be recorded; send them again"] * 2
        + ["too many events wait to be recorded; send these again later"] * 4
    )


SESSION = "bad-input-" + uuid4().hex
GOOD = view(SESSION)
LATE = (datetime.now(UTC) - timedelta(days=8)).isoformat()
FAULTS: list[dict[str, Any]] = [
    {},
    {"events": []},
    {"events": [GOOD] * 501},
    {"events": [GOOD], "surprise": 1},
    {"events": [GOOD], "sent_at": "now"},
    {"events": [GOOD, GOOD | {"surprise": 1}]},
    {"events": [GOOD, GOOD | {"type": "unheard_of"}]},
    {"events": [GOOD, GOOD | {"type": None}]},
    {"events": [GOOD, GOOD | {"session": "x" * 101}]},
    {"events": [GOOD, GOOD | {"session": "\ud800"}]},
    {"events": [GOOD, GOOD | {"event_id": "1"}]},
    {"events": [GOOD, GOOD | {"user_id": "ada"}]},
    {"events": [GOOD, GOOD | {"product_id": None}]},
    {"events": [GOOD, GOOD | {"position": 10**9}]},
    {"events": [GOOD, GOOD | {"at": LATE}]},
    {"events": [GOOD, GOOD | {"at": "2999-01-01T00:00:00Z"}]},
    {"events": [GOOD, GOOD | {"at": "9999-12-31T23:59:59Z"}], "sent_at": "0001-01-01T00:00:00Z"},
    {"events": [GOOD, {"type": "page_view", "session": SESSION, "path": "a\0b"}]},
    {
        "events": [
            GOOD,
            {"type": "search", "session": SESSION, "query": "a", "filters": {str(n): "" for n in range(21)}},
        ]
    },
    {"events": [GOOD, {"type": "cart_add", "session": SESSION, "product_id": str(uuid4()), "quantity": -1}]},
]
REFUSED: list[tuple[bytes, int]] = [
    (b"", 422),
    (b"{", 400),
    (b"\xff\xfe", 400),
    (b"[]", 422),
    (b"null", 422),
    *((json.dumps(body).encode(), 422) for body in FAULTS),
    (b" " * 300_000, 413),
]


def test_bad_events_are_a_problem_and_none_of_their_batch_is_taken(
    stack: Stack, http: httpx.Client, warehouse: Client
) -> None:
    for body, status in REFUSED:
        answer = http.post("/events", content=body, headers={"content-type": "application/json"})
        assert answer.status_code == status, (body[:200], answer.text)
        assert answer.headers["content-type"] == "application/problem+json", body[:200]
    wait_until_all_is_loaded(stack)
    assert count(warehouse, SESSION) == 0


def test_only_a_token_says_whose_events_they_are(stack: Stack, warehouse: Client, session: str) -> None:
    user, keys = str(uuid4()), Keys(Path(stack.env["SESSIONS_KEYS_FILE"]))
    own = {"authorization": f"Bearer {keys.sign(user, 'user', ['customer'])}"}
    with httpx.Client(base_url=stack.env["ANALYTICS_URL"], timeout=30, trust_env=False) as shopper:

        def tell(headers: dict[str, str], **members: Any) -> int:
            body = {"events": [view(session), view(session, **members)]}
            return shopper.post("/events", json=body, headers=headers).status_code

        assert (tell({}), tell(own), tell(own, user_id=user)) == (202, 202, 202)
        assert (tell({}, user_id=user), tell(own, user_id=str(uuid4()))) == (403, 403)
    wait_for(warehouse, session, 6)
    told = warehouse.query(
        "SELECT toString(user_id) FROM raw_clickstream.events FINAL WHERE session = {session:String}",
        {"session": session},
    ).result_rows
    assert [row[0] for row in told].count(user) == 4


def test_strangers_and_customers_are_told_no_numbers(stack: Stack) -> None:
    keys = Keys(Path(stack.env["SESSIONS_KEYS_FILE"]))
    with httpx.Client(base_url=stack.env["ANALYTICS_URL"], timeout=30, trust_env=False) as http:
        for role, status in (("customer", 403), ("analyst", 200)):
            token = keys.sign(str(uuid4()), "user", [role])
            assert http.get("/funnel", headers={"authorization": f"Bearer {token}"}).status_code == status
        assert http.get("/funnel").status_code == 401
