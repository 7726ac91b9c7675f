"""Any sequence of receiving, reserving, committing, releasing, expiring and repeating, beside a model of the stock."""

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from typing import ClassVar
from uuid import UUID, uuid4

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, invariant, rule, run_state_machine_as_test

from bench.inventory import Warehouse, warehouse
from services.kit.db import Primary
from services.products import endings, reservations, stock
from services.products.reservations import Hold, InsufficientStock, ReservationClosed
from services.products.stock_schemas import NewReservation, WantedLine
from tests.integration.services.shop import Stack

QUANTITY = st.integers(min_value=1, max_value=4)
LINES = st.dictionaries(st.integers(0, 1), QUANTITY, min_size=1)
CLOSED = {"released", "expired"}


@dataclass
class Order:
    id: UUID
    lines: dict[int, int]
    state: str = "new"
    due: bool = False


@dataclass(frozen=True)
class Bench:
    hall: Warehouse
    primary: Primary
    runner: asyncio.Runner


@pytest.fixture(scope="module")
def bench(stack: Stack) -> Iterator[Bench]:
    with warehouse(stack.env["POSTGRES_ADMIN_DSN"]) as hall, asyncio.Runner() as runner:
        primary = runner.run(opened(hall.dsn))
        yield Bench(hall, primary, runner)
        runner.run(primary.__aexit__(None, None, None))


async def opened(dsn: str) -> Primary:
    return await Primary(dsn, "test").__aenter__()


class Shelves(RuleBasedStateMachine):
    bench: ClassVar[Bench]
    orders = Bundle("orders")

    def __init__(self) -> None:
        super().__init__()
        self.products = [self.bench.hall.product(6), self.bench.hall.product(3)]
        self.available, self.reserved, self.sold = [6, 3], [0, 0], [0, 0]
        self.known: list[Order] = []

    @rule(product=st.integers(0, 1), pieces=QUANTITY)
    def receive(self, product: int, pieces: int) -> None:
        self.bench.runner.run(stock.receive(self.bench.primary, self.products[product], pieces))
        self.available[product] += pieces

    @rule(product=st.integers(0, 1), pieces=QUANTITY)
    def correct(self, product: int, pieces: int) -> None:
        call = stock.adjust(self.bench.primary, self.products[product], -pieces, "counted")
        if self.available[product] < pieces:
            with pytest.raises(stock.CorrectionRefused):
                self.bench.runner.run(call)
        else:
            self.bench.runner.run(call)
            self.available[product] -= pieces

    @rule(target=orders, lines=LINES)
    def think_of_an_order(self, lines: dict[int, int]) -> Order:
        order = Order(uuid4(), lines)
        self.known.append(order)
        return order

    @rule(target=orders, lines=LINES, due=st.booleans())
    def place_an_order(self, lines: dict[int, int], due: bool) -> Order:
        order = Order(uuid4(), lines)
        self.known.append(order)
        self._reserve(order, due)
        return order

    @rule(order=orders, due=st.booleans())
    def reserve(self, order: Order, due: bool) -> None:
        """For the first time, again, or too late."""
        self._reserve(order, due)

    def _reserve(self, order: Order, due: bool) -> None:
        lines = [
            WantedLine(product_id=self.products[product], quantity=quantity)
            for product, quantity in order.lines.items()
        ]
        hold = timedelta(0) if due else reservations.HOLD
        call = reservations.reserve(self.bench.primary, NewReservation(order_id=order.id, lines=lines), hold)
        if order.state in CLOSED:
            with pytest.raises(ReservationClosed):
                self.bench.runner.run(call)
        elif order.state == "new" and any(self.available[p] < q for p, q in order.lines.items()):
            with pytest.raises(InsufficientStock):
                self.bench.runner.run(call)
        else:
            answer = self.bench.runner.run(call)
            assert isinstance(answer, Hold)
            assert [line["quantity"] for line in answer.lines] == list(order.lines.values())
            if order.state == "new":
                order.state, order.due = "held", due
                self._move(order, available=-1, reserved=1)

    @rule(order=orders)
    def commit(self, order: Order) -> None:
        call = endings.commit(self.bench.primary, order.id)
        if order.state in {"new", *CLOSED}:
            with pytest.raises(ReservationClosed):
                self.bench.runner.run(call)
            return
        self.bench.runner.run(call)
        if order.state == "held":
            order.state = "committed"
            self._move(order, reserved=-1, sold=1)

    @rule(order=orders)
    def release(self, order: Order) -> None:
        self.bench.runner.run(endings.release(self.bench.primary, order.id))
        if order.state == "held":
            self._move(order, available=1, reserved=-1)
        elif order.state == "committed":
            self._move(order, available=1, sold=-1)
        if order.state != "expired":
            order.state = "released"

    @rule()
    def expire(self) -> None:
        due = [order for order in self.known if order.state == "held" and order.due]
        assert self.bench.runner.run(endings.expire(self.bench.primary)) == len(due)
        for order in due:
            order.state = "expired"
            self._move(order, available=1, reserved=-1)

    def _move(self, order: Order, available: int = 0, reserved: int = 0, sold: int = 0) -> None:
        for product, quantity in order.lines.items():
            self.available[product] += available * quantity
            self.reserved[product] += reserved * quantity
            self.sold[product] += sold * quantity

    @invariant()
    def the_stock_is_the_models(self) -> None:
        levels = list(zip(self.available, self.reserved, self.sold, strict=True))
        assert [self.bench.hall.level(product) for product in self.products] == levels
        assert self.bench.hall.broken() == {}

    @invariant()
    def every_order_has_the_models_state(self) -> None:
        query = "SELECT order_id, state FROM service.holds WHERE order_id = ANY(%s)"
        rows = self.bench.hall.connection.execute(query, [[order.id for order in self.known]])
        assert set(rows) == {(order.id, order.state) for order in self.known if order.state != "new"}

    def teardown(self) -> None:
        self.bench.runner.run(endings.expire(self.bench.primary))


@pytest.mark.parametrize("examples", [40, pytest.param(200, marks=pytest.mark.long)])
def test_every_sequence_leaves_the_stock_that_the_model_says(examples: int, bench: Bench) -> None:
    Shelves.bench = bench
    run_state_machine_as_test(
        Shelves,
        settings=settings(
            max_examples=examples,
            stateful_step_count=30,
            deadline=None,
            database=None,
            derandomize=examples < 100,
            suppress_health_check=list(HealthCheck),
        ),
    )
