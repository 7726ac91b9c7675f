"""What can be asked of the shop's numbers. Answers are kept for as long as the mart that they come from stays as it is."""

from collections.abc import Awaitable, Callable
from dataclasses import asdict
from datetime import UTC, date, datetime
from typing import Any, TypeVar

import cachebox
from pydantic import BaseModel

from services.analytics import repository
from services.analytics.clickhouse import Warehouse
from services.analytics.schemas import (
    Cohort,
    Cohorts,
    CohortsQuery,
    Customers,
    Funnel,
    FunnelQuery,
    FunnelStep,
    NoParameters,
    Retained,
    Revenue,
    RevenuePoint,
    RevenueQuery,
    TopProduct,
    TopProducts,
    TopProductsQuery,
)
from services.analytics.series import Sums, series

BUILD_SECONDS = 5
"""How long a rebuilt mart may go unnoticed; also what callers are told to keep an answer for."""
ANSWER_SECONDS = 300
_ANSWERS = 512

Q = TypeVar("Q", bound=BaseModel)
Stamp = tuple[datetime | None, int]
Ask = Callable[[Q, datetime | None], Awaitable[BaseModel]]


class Analytics:
    """The marts, read through a cache: an answer is remembered under its question and its mart's last build."""

    def __init__(self, warehouse: Warehouse, build_seconds: float = BUILD_SECONDS) -> None:
        self._warehouse = warehouse
        # Concurrent callers of one key wait for the first of them.
        self._built = cachebox.cached(cachebox.TTLCache(16, build_seconds))(self._ask_built)
        self._answers: Any = cachebox.cached(
            cachebox.TTLCache(_ANSWERS, ANSWER_SECONDS),
            key_maker=lambda ask, query, stamp: (ask.__name__, query, stamp),
        )(self._ask)

    async def revenue(self, query: RevenueQuery) -> bytes:
        return await self._answer("rpt_revenue_daily", self._revenue, query)

    async def top_products(self, query: TopProductsQuery) -> bytes:
        return await self._answer("dim_products", self._top_products, query)

    async def funnel(self, query: FunnelQuery) -> bytes:
        return await self._answer("events", self._funnel, query)

    async def cohorts(self, query: CohortsQuery) -> bytes:
        return await self._answer("dim_customers", self._cohorts, query)

    async def customers(self, query: NoParameters) -> bytes:
        return await self._answer("dim_customers", self._customers, query)

    async def _answer(self, mart: str, ask: Ask[Q], query: Q) -> bytes:
        body: bytes = await self._answers(ask, query, await self._built(mart))
        return body

    async def _ask_built(self, mart: str) -> Stamp:
        at, rows = (await self._warehouse.rows(repository.BUILT[mart], {}))[0]
        return (at.replace(tzinfo=UTC), rows) if rows else (None, 0)

    async def _ask(self, ask: Ask[Q], query: Q, stamp: Stamp) -> bytes:
        return (await ask(query, stamp[0])).model_dump_json().encode()

    async def _revenue(self, query: RevenueQuery, as_of: datetime | None) -> Revenue:
        rows = await self._warehouse.rows(
            repository.REVENUE, {"currency": query.currency, "first": query.first, "last": query.last}
        )
        points = series(((row[0], Sums(*row[1:])) for row in rows), query.first, query.last, query.granularity)
        return Revenue(
            as_of=as_of,
            currency=query.currency,
            granularity=query.granularity,
            points=[
                RevenuePoint.model_validate(
                    asdict(span)
                    | {name: value if isinstance(value, int) else str(value) for name, value in asdict(sums).items()}
                    | {"average_order_value": None if (each := sums.average_order_value) is None else str(each)}
                )
                for span, sums in points
            ],
        )

    async def _top_products(self, query: TopProductsQuery, as_of: datetime | None) -> TopProducts:
        rows = await self._warehouse.rows(
            repository.TOP_PRODUCTS[query.by], query.model_dump(include={"currency", "first", "last", "limit"})
        )
        items = [
            TopProduct(
                product_id=product, sku=sku or "", name=name or "", units=units, orders=orders, amount=str(amount)
            )
            for product, sku, name, units, orders, amount in rows
        ]
        return TopProducts(as_of=as_of, currency=query.currency, items=items)

    async def _funnel(self, query: FunnelQuery, as_of: datetime | None) -> Funnel:
        values = {"within": query.within_seconds * 1000, "first": query.first, "last": query.last}
        reached = dict(await self._warehouse.rows(repository.FUNNEL, values))
        steps: list[FunnelStep] = []
        for number, step in enumerate(("product_view", "cart_add", "order_placed"), start=1):
            sessions = sum(count for level, count in reached.items() if level >= number)
            before, first = (steps[-1].sessions, steps[0].sessions) if steps else (sessions, sessions)
            steps.append(
                FunnelStep.model_validate(
                    {
                        "step": step,
                        "sessions": sessions,
                        "of_previous": _share(sessions, before),
                        "of_first": _share(sessions, first),
                    }
                )
            )
        return Funnel(as_of=as_of, sessions=sum(reached.values()), steps=steps)

    async def _cohorts(self, query: CohortsQuery, as_of: datetime | None) -> Cohorts:
        first, last = query.months
        rows = await self._warehouse.rows(repository.COHORTS, {"first": first, "last": last})
        active = {(cohort, month): customers for cohort, month, customers in rows}
        return Cohorts(
            as_of=as_of, cohorts=[_cohort(month, active, as_of) for month in sorted({row[0] for row in rows})]
        )

    async def _customers(self, _: NoParameters, as_of: datetime | None) -> Customers:
        names = ("known", "registered", "deleted", "with_orders", "repeat", "with_marketing_consent")
        counts = (await self._warehouse.rows(repository.CUSTOMERS, {}))[0]
        return Customers(as_of=as_of, **dict(zip(names, counts, strict=True)))


def _cohort(month: date, active: dict[tuple[date, int], int], as_of: datetime | None) -> Cohort:
    """The months up to the mart's, those without a buyer among them."""
    newest = max(number for cohort, number in active if cohort == month)
    running = (as_of.year - month.year) * 12 + as_of.month - month.month if as_of else newest
    size = active.get((month, 0), 0)
    retention = [
        Retained(
            month=number,
            customers=active.get((month, number), 0),
            share=_share(active.get((month, number), 0), size) or 0.0,
            whole=number < running,
        )
        for number in range(max(running, newest) + 1)
    ]
    return Cohort(month=f"{month:%Y-%m}", customers=size, retention=retention)


def _share(part: int, whole: int) -> float | None:
    return round(part / whole, 4) if whole else None
