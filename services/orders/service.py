"""What can be done with orders: place, read, list, cancel; and what operators do with their sagas."""

import asyncio
import time
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

from services.kit.db import Primary, Replica
from services.kit.idempotency import Key
from services.kit.ids import uuid7
from services.kit.pagination import Cursors, Page
from services.kit.problem import NotFound
from services.orders import repository
from services.orders.order import NotCancellable
from services.orders.partners import Partners
from services.orders.repository import ItemRow, OrderRow
from services.orders.retries import Refused
from services.orders.saga import Sagas
from services.orders.sagas import Saga, SagaDetail, SagaEnded
from services.orders.schemas import NewOrder, Order, show
from services.orders.steps import Placement


@dataclass(frozen=True, slots=True)
class Patience:
    """`steps_s`: how long the steps before the capture are tried; `answer_s`: how long a caller is kept waiting."""

    steps_s: float
    answer_s: float


class Orders:
    def __init__(
        self,
        primary: Primary,
        replica: Replica,
        cursors: Cursors,
        partners: Partners,
        sagas: Sagas,
        patience: Patience,
    ) -> None:
        self._primary = primary
        self._replica = replica
        self._cursors = cursors
        self._partners = partners
        self._sagas = sagas
        self._patience = patience

    async def place(self, new: NewOrder, key: Key | None) -> tuple[Order, bool]:
        """The order, and whether its placing has ended. Raises the problem that made it FAILED.

        From the order's first row to its end the saga holds the `key`.
        """
        await asyncio.gather(
            self._partners.require_user(new.user_id), self._partners.require_products(list(new.wanted))
        )
        deadline = time.time() + self._patience.steps_s
        given = Placement(uuid7(), new.user_id, new.wanted, new.payment.method, new.payment.token, deadline, key)
        try:
            refusal = await self._sagas.place(given, self._patience.answer_s)
        except TimeoutError:
            return await self.read(given.order_id), False
        if refusal is not None:
            raise Refused(refusal)
        return await self.read(given.order_id), True

    async def read(self, order_id: UUID) -> Order:
        return await self._with_items(await self._existing(order_id))

    async def list(self, user_id: UUID | None, limit: int, cursor: str | None) -> Page[Order]:
        scope = f"orders {user_id}"
        rows = await repository.list_after(self._replica, user_id, self._cursors.read(scope, cursor), limit + 1)
        lines: dict[UUID, list[ItemRow]] = defaultdict(list)
        for line in await repository.items(self._replica, [row.id for row in rows[:limit]]):
            lines[line.order_id].append(line)
        return self._cursors.page(scope, rows, limit, lambda row: row.id, lambda row: show(row, lines[row.id]))

    async def cancel(self, order_id: UUID) -> tuple[Order, bool]:
        """The order, and whether its cancellation has ended. Can be repeated: an order is cancelled once."""
        order = await self._existing(order_id)
        if order.status == "FAILED":
            raise NotCancellable(f"order {order_id} is FAILED; there is nothing to cancel")
        ended = True
        if order.status != "CANCELLED":
            try:
                refusal = await self._sagas.cancel(order_id, self._patience.answer_s)
            except TimeoutError:
                ended = False
            else:
                if refusal is not None:
                    raise Refused(refusal)
        order = await self._existing(order_id)
        if ended and order.status != "CANCELLED":
            raise NotCancellable(f"order {order_id} is {order.status}; its placing failed before it could be cancelled")
        return await self._with_items(order), ended

    async def find_sagas(self, *, only_open: bool, limit: int) -> Sequence[Saga]:
        return await self._sagas.find(only_open=only_open, limit=limit)

    async def saga(self, saga_id: str) -> SagaDetail:
        saga = await self._existing_saga(saga_id)
        return SagaDetail(**saga.model_dump(), steps=await self._sagas.steps(saga_id))

    async def retry_saga(self, saga_id: str) -> Saga:
        saga = await self._existing_saga(saga_id)
        if saga.state == "ended":
            raise SagaEnded(f"saga {saga_id} has ended; there is nothing to try again")
        await self._sagas.retry(saga)
        return await self._existing_saga(saga_id)

    async def _existing_saga(self, saga_id: str) -> Saga:
        found = await self._sagas.find(only_open=False, limit=1, ids=[saga_id])
        if not found:
            raise NotFound(f"there is no saga {saga_id}")
        return found[0]

    async def _existing(self, order_id: UUID) -> OrderRow:
        if (order := await repository.find(self._primary, order_id)) is None:
            raise NotFound(f"there is no order {order_id}")
        return order

    async def _with_items(self, order: OrderRow) -> Order:
        return show(order, await repository.items(self._primary, [order.id]))
