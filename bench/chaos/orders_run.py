"""One run of the orders' chaos: customers and kills beside each other, then silence, then the judgement."""

import asyncio
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any
from uuid import UUID

import psycopg

from bench.chaos.orders_faults import OPEN, Breaker
from bench.chaos.orders_load import Load, Shop
from bench.chaos.orders_oracle import Order, judge, orders_of, provider_differs
from bench.chaos.orders_plan import CANCELLED, DECLINED, KILLED, SILENT, kills, wishes
from bench.chaos.processes import wait_until_healthy
from services.invariants.check import check
from services.invariants.databases import NAMES, opened
from stack.settings import Settings

_PRODUCTS = 6
_HIT = 20
"""Sagas in flight that each kind of fault must have hit."""

_SETTLE = 240.0
_POLL = 0.25
_QUIET_S = 11
"""The invariants of an order are looked at when nothing has changed about it for ten seconds."""

_CANCELLED_IN_FLIGHT = """
SELECT count(*) FROM dbos.workflow_status AS cancels JOIN dbos.workflow_status AS places
    ON cancels.workflow_uuid = places.workflow_uuid || ':cancel'
WHERE places.workflow_uuid = ANY(%s) AND cancels.created_at <= places.completed_at
"""


@dataclass(frozen=True)
class Outcome:
    """What was done and what came of it; ``short_of`` says what a run must do and this one did not."""

    seed: int
    orders: dict[str, int]
    answers: dict[str, int]
    """Answers to POST /orders by status, and broken connections; of broken ones the request was made again."""
    doubled: int
    """Orders beyond one for each customer: requests that were made again and placed a second order."""
    kills: dict[str, int]
    hit: dict[str, int]
    resumed_s: tuple[float, ...]
    invariants: dict[str, int]
    sums: dict[str, int]
    """The judge's own checks: how many things are wrong by each."""
    examples: tuple[str, ...]
    short_of: tuple[str, ...]

    @property
    def sound(self) -> bool:
        """Whether nothing is wrong and enough was done to say so."""
        return not self.short_of and not any((self.doubled, *self.invariants.values(), *self.sums.values()))

    def document(self) -> dict[str, Any]:
        """The outcome as the JSON of the command."""
        return asdict(self) | {"sound": self.sound}


def run(
    settings: Settings,
    env: Mapping[str, str],
    orders: int,
    seed: int,
    say: Callable[[str], None],
    *,
    processes: Sequence[str] = KILLED,
    only_own: bool = False,
) -> Outcome:
    """Place so many orders on a running stack while the processes are killed in turn.

    With `only_own` the invariants of orders are asked of this run's orders only, for a stack that others have used.

    Raises:
        NoAnswer: a customer was never told how its order ended.
        TimeoutError: the stack did not come to rest afterwards; says what it waits for.
    """
    wanted = wishes(seed, orders, _PRODUCTS)
    load = Load(env)
    shop = asyncio.run(load.prepare(wanted, _PRODUCTS))
    breaker = Breaker(settings, env, load, say)

    async def both() -> None:
        await asyncio.gather(asyncio.to_thread(breaker.run, kills(seed, orders, processes)), load.run(wanted, shop))

    asyncio.run(both())
    say(f"{load.answered:5d} answered  waiting until all is well and at rest")
    wait_until_healthy(settings, _SETTLE)
    _wait_until_at_rest(env, shop)
    made = orders_of(env["ORDERS_DSN"], shop)
    wrong = judge(env, shop, load.told)
    with opened({name: env[f"{name.upper()}_AUDIT_DSN"] for name in NAMES}) as databases:
        verdicts = check(databases, orders=[UUID(order.id) for order in made] if only_own else None)
    violated = [f"{verdict.name}: {row}" for verdict in verdicts for row in verdict.rows]
    hit = breaker.hit(env["ORDERS_DSN"]) | _planned_hits(env, made, load)
    statuses = Counter(order.status for order in made)
    return Outcome(
        seed=seed,
        orders=dict(statuses),
        answers=dict(load.answers),
        doubled=len(made) - len({order.user for order in made}),
        kills=dict(Counter(done.process for done in breaker.done)),
        hit=hit,
        resumed_s=tuple(breaker.resumed_s),
        invariants={verdict.name: verdict.violations for verdict in verdicts},
        sums={name: len(lines) for name, lines in wrong.items()},
        examples=tuple([*violated, *(line for lines in wrong.values() for line in lines)][:20]),
        short_of=_short_of(orders, processes, hit, statuses),
    )


def _planned_hits(env: Mapping[str, str], made: list[Order], load: Load) -> dict[str, int]:
    """Sagas that the planned faults have met: declined, left without an answer by the provider, cancelled under way."""
    silent = {told.user for told in load.told if told.wish.kind == SILENT}
    ids = [order.id for order in made]
    with psycopg.connect(env["PAYMENTS_DSN"]) as connection:
        query = "SELECT order_id::text, failure_code FROM public.payments WHERE order_id = ANY(%s::uuid[])"
        asked: dict[str, str | None] = dict(connection.execute(query, [ids]).fetchall())
    with psycopg.connect(env["ORDERS_DSN"]) as connection:
        [(cancelled,)] = connection.execute(_CANCELLED_IN_FLIGHT, [ids]).fetchall()
    return {
        DECLINED: sum(code is not None for code in asked.values()),
        SILENT: sum(order.user in silent and order.id in asked for order in made),
        CANCELLED: int(cancelled),
    }


def _short_of(
    orders: int, processes: Sequence[str], hit: Mapping[str, int], statuses: Mapping[str, int]
) -> tuple[str, ...]:
    """What is missing. Of the planned faults a run of 500 orders has 25 and more, a shorter one its share."""
    wanted = dict.fromkeys(processes, _HIT) | dict.fromkeys(
        (DECLINED, SILENT, CANCELLED), min(_HIT, orders * _HIT // 500)
    )
    lacks = [
        f"{hit.get(name, 0)} of {least} sagas in flight were hit: {name}"
        for name, least in wanted.items()
        if hit.get(name, 0) < least
    ]
    if statuses.get("CONFIRMED", 0) < orders // 2:
        lacks.append(f"{statuses.get('CONFIRMED', 0)} of at least {orders // 2} orders were confirmed")
    return tuple(lacks)


def _wait_until_at_rest(env: Mapping[str, str], shop: Shop) -> None:
    """Return once every saga has ended, the provider's list is settled, and nothing has changed for a while."""
    deadline = time.monotonic() + _SETTLE
    while (waits := _waits_for(env, shop)) is not None:
        if time.monotonic() > deadline:
            raise TimeoutError(f"not at rest {_SETTLE:g} s after the last order: {waits}")
        time.sleep(_POLL)  # polls the three databases and the provider's list


def _waits_for(env: Mapping[str, str], shop: Shop) -> str | None:
    orders = orders_of(env["ORDERS_DSN"], shop)
    ids = [order.id for order in orders]
    with psycopg.connect(env["ORDERS_DSN"]) as connection:
        query = "SELECT workflow_uuid FROM dbos.workflow_status WHERE left(workflow_uuid, 36) = ANY(%s) AND status = ANY(%s)"
        if found := connection.execute(query, [ids, OPEN]).fetchall():
            return f"{len(found)} sagas have not ended, the first is {found[0][0]}"
    for database, table, key in (
        ("ORDERS", "orders", "id"),
        ("PAYMENTS", "payments", "order_id"),
        ("PRODUCTS", "reservations", "order_id"),
    ):
        with psycopg.connect(env[f"{database}_DSN"]) as connection:
            query = f"SELECT {key} FROM public.{table} WHERE {key} = ANY(%s::uuid[]) AND updated_at > now() - %s * interval '1 s'"
            if found := connection.execute(query.encode(), [ids, _QUIET_S]).fetchall():
                return f"{table} of order {found[0][0]} changed just now"
    # What came late to the provider goes back by reconciliation, which runs once a minute.
    return next(provider_differs(env, orders), None)
