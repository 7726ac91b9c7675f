"""What can be done with stock: receive and correct it, hold it for orders, and look at what happened to it."""

from datetime import timedelta
from uuid import UUID

from services.kit.db import Primary, Replica, Transaction
from services.kit.pagination import Cursors, Page
from services.kit.problem import NotFound
from services.products import endings, reservations, stock
from services.products.stock_schemas import Movement, NewReservation, Reservation, ReservationState, StockCorrection


class Inventory:
    """`hold` is how long pieces are kept for an order that is not committed."""

    def __init__(self, primary: Primary, replica: Replica, cursors: Cursors, hold: timedelta) -> None:
        self._primary = primary
        self._replica = replica
        self._cursors = cursors
        self._hold = hold

    async def receive(self, transaction: Transaction, product_id: UUID, pieces: int) -> None:
        await stock.receive(transaction, product_id, pieces)

    async def correct(self, transaction: Transaction, product_id: UUID, correction: StockCorrection) -> None:
        await stock.adjust(transaction, product_id, correction.delta, correction.reason)

    async def list_movements(self, product_id: UUID, limit: int, cursor: str | None) -> Page[Movement]:
        scope = f"movements {product_id}"
        after = self._cursors.read(scope, cursor).int
        rows = await stock.movements(self._replica, product_id, after, limit + 1)
        return self._cursors.page(scope, rows, limit, lambda row: UUID(int=row.id), Movement.model_validate)

    async def reserve(self, wanted: NewReservation) -> Reservation:
        return Reservation.model_validate(await reservations.reserve(self._primary, wanted, self._hold))

    async def read_reservation(self, order_id: UUID) -> ReservationState:
        hold = await reservations.find(self._primary, order_id)
        if hold is None:
            raise NotFound(f"nothing was reserved for order {order_id}")
        return ReservationState.model_validate(hold)

    async def commit(self, order_id: UUID) -> None:
        await endings.commit(self._primary, order_id)

    async def release(self, order_id: UUID) -> None:
        await endings.release(self._primary, order_id)
