"""What can be done with orders: place, read, list, cancel."""

from collections import defaultdict
from collections.abc import Sequence
from uuid import UUID

from services.kit.db import Primary, Replica
from services.kit.pagination import Cursors, Page
from services.kit.problem import Conflict, NotFound
from services.orders import repository
from services.orders.partners import Partners
from services.orders.placing import place
from services.orders.repository import ItemRow, OrderRow
from services.orders.schemas import Item, NewOrder, Order


class NotCancellable(Conflict):
    slug = "not-cancellable"


def _show(row: OrderRow, lines: Sequence[ItemRow]) -> Order:
    items = [Item.model_validate(line) for line in lines]
    return Order.model_validate({**{name: getattr(row, name) for name in row.__slots__}, "items": items})


class Orders:
    def __init__(self, primary: Primary, replica: Replica, cursors: Cursors, partners: Partners) -> None:
        self._primary = primary
        self._replica = replica
        self._cursors = cursors
        self._partners = partners

    async def place(self, new: NewOrder) -> Order:
        return await self._with_items(await place(self._primary, self._partners, new))

    async def read(self, order_id: UUID) -> Order:
        return await self._with_items(await self._existing(order_id))

    async def list(self, user_id: UUID | None, limit: int, cursor: str | None) -> Page[Order]:
        scope = f"orders {user_id}"
        rows = await repository.list_after(self._replica, user_id, self._cursors.read(scope, cursor), limit + 1)
        lines: dict[UUID, list[ItemRow]] = defaultdict(list)
        for line in await repository.items(self._replica, [row.id for row in rows[:limit]]):
            lines[line.order_id].append(line)
        return self._cursors.page(scope, rows, limit, lambda row: row.id, lambda row: _show(row, lines[row.id]))

    async def cancel(self, order_id: UUID) -> Order:
        """Restock, refund, then CANCELLED: a call that failed half-way is simply made again."""
        order = await self._existing(order_id)
        if order.status == "CONFIRMED":
            await self._partners.release(order_id)
            await self._partners.void(order_id, "order cancelled")
            order = await repository.cancel(self._primary, order_id) or await self._existing(order_id)
        if order.status != "CANCELLED":
            raise NotCancellable(f"order {order_id} is {order.status}; only a CONFIRMED order can be cancelled")
        return await self._with_items(order)

    async def _existing(self, order_id: UUID) -> OrderRow:
        if (order := await repository.find(self._primary, order_id)) is None:
            raise NotFound(f"there is no order {order_id}")
        return order

    async def _with_items(self, order: OrderRow) -> Order:
        return _show(order, await repository.items(self._primary, [order.id]))
