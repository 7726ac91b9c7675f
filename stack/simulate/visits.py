"""Visits to the shop front and searches, straight into the table that the loader fills.

Not through the topic: it holds what the shop front says now, for days, while these visits are of a year; and the analytics
service refuses events that are older than a week. The rows are what its loader would have made of them, and two of one id
merge, so a history that is written again counts nothing twice.
"""

from concurrent.futures import Future, ThreadPoolExecutor
from datetime import datetime, timedelta
from types import TracebackType
from typing import Any, Self
from uuid import UUID

import orjson
from clickhouse_connect.driver.client import Client
from clickhouse_connect.driver.exceptions import ClickHouseError

from services.analytics.clickhouse import connect
from services.analytics.loader import tables
from stack.errors import StackError
from stack.simulate.goods import Product
from stack.simulate.history import History, Ids
from stack.simulate.orders import Placed

_AT_ONCE = 50_000
_BROWSERS = (1, 2, 3)
"""Visits that buy nothing, beside each that does."""
_SEARCHES = 0.7
_IN_VAIN = 0.06
_CHOSEN = 0.8


class NoWarehouse(StackError):
    """ClickHouse cannot be reached, or refused the visits."""


class Visits:
    """Visits that follow from the orders. Use as a context; `end` gives the number of events."""

    def __init__(self, history: History, url: str, password: str) -> None:
        try:
            self._client: Client = connect(url, "clickstream", password)
            tables.create(self._client)
        except ClickHouseError as error:
            raise _away(error) from None
        self._chooser, self._ids, self._tag = history.chooser("visits"), Ids(history, 6), history.tag
        self._last = history.end - timedelta(seconds=1)
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="write-visits")
        self._under_way: Future[None] | None = None
        self._lines: list[bytes] = []
        self._sessions = self._events = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._thread.shutdown(cancel_futures=True)
        self._client.close()

    def add(self, placed: Placed) -> None:
        """The visit in which the order was placed, and those of others who looked around at that time."""
        order, chooser = placed.order, self._chooser
        at = order.placed_at - timedelta(seconds=chooser.uniform(60, 900))
        step = (order.placed_at - at) / (len(placed.products) * 2 + 4)
        session, user = self._session(), placed.customer.id
        at = self._look_around(session, user, at, step, placed.products)
        quantities = {line.product_id: line.quantity for line in order.lines}
        for product in placed.products:
            at += step
            quantity = quantities.get(product.id, 1)
            self._tell("clickstream", "cart_add", at, session, user, product_id=product.id, quantity=quantity)
        if placed.captured_at is not None:
            self._tell("clickstream", "order_placed", order.placed_at, session, user, order_id=order.id)
        for _ in range(chooser.choice(_BROWSERS)):
            at = min(
                order.placed_at + timedelta(seconds=chooser.uniform(-3600, 3600)), self._last - timedelta(minutes=5)
            )
            session, seen = self._session(), placed.products[: chooser.randint(0, 2)]
            at = self._look_around(session, None, at, timedelta(seconds=chooser.uniform(3, 40)), seen)
            if seen and chooser.random() < 0.25:
                self._tell("clickstream", "cart_add", at, session, None, product_id=seen[0].id, quantity=1)

    def end(self) -> int:
        """Write what is left; how many events there were. Raises NoWarehouse."""
        self._send()
        self._wait()
        return self._events

    def _look_around(
        self, session: str, user: UUID | None, at: datetime, step: timedelta, products: list[Product]
    ) -> datetime:
        """A first page, at times a search, and the products; when the last of them was looked at."""
        chooser = self._chooser
        self._tell("clickstream", "page_view", at, session, user, rest='{"path":"/"}')
        if products and chooser.random() < _SEARCHES:
            at += step
            words, query = products[0].path[-1].lower(), f"{self._tag}-{self._events:x}"
            vain = chooser.random() < _IN_VAIN
            words, total = (f"{words} {chooser.choice('qxz')}{chooser.randint(10, 99)}", 0) if vain else (words, 40)
            self._tell("search", "search", at, session, user, query=words, query_id=query, total=total)
            if total and chooser.random() < _CHOSEN:
                place = min(int(chooser.expovariate(0.5)) + 1, total)
                chosen = {"product_id": products[0].id, "position": place, "query_id": query}
                self._tell("search", "click", at + step / 2, session, user, **chosen)
        for product in products:
            at += step
            self._tell("clickstream", "product_view", at, session, user, product_id=product.id)
        return at

    def _session(self) -> str:
        self._sessions += 1
        return f"{self._tag}-{self._sessions:x}"

    def _tell(self, source: str, kind: str, at: datetime, session: str, user: UUID | None, **more: Any) -> None:
        self._events += 1
        row = {
            "event_id": self._ids.at(at), "source": source, "type": kind, "at": _text(at),
            "received_at": _text(at + timedelta(milliseconds=40)), "session": session, "rest": "{}",
        } | more  # fmt: skip
        if user is not None:
            row["user_id"] = user
        self._lines.append(orjson.dumps(row))
        if len(self._lines) >= _AT_ONCE:
            self._send()

    def _send(self) -> None:
        self._wait()
        lines, self._lines = self._lines, []
        if lines:
            self._under_way = self._thread.submit(self._insert, lines)

    def _wait(self) -> None:
        if self._under_way is not None:
            try:
                self._under_way.result()
            except ClickHouseError as error:
                raise _away(error) from None
            self._under_way = None

    def _insert(self, lines: list[bytes]) -> None:
        self._client.raw_insert("raw_clickstream.events", insert_block=b"\n".join(lines), fmt="JSONEachRow")


def _text(at: datetime) -> str:
    return at.replace(tzinfo=None).isoformat(" ", "milliseconds")


def _away(error: ClickHouseError) -> NoWarehouse:
    why = str(error).splitlines()[0]
    return NoWarehouse(f"ClickHouse does not take the visits ({why}): millrace up --only clickhouse, or --no-visits")
