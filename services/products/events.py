"""What products tells others of: changes of the catalogue and of the shelves in `events.products`, by product, and what
happens to the pieces of an order in `events.reservations`, by order.

Of a changed product an event tells which members were set: the row itself goes the way of all rows.
"""

from typing import ClassVar, Literal
from uuid import UUID

from services.kit.events import Data, Event, Money

ProductField = Literal["name", "brand", "category_id", "group_id", "description", "attributes", "status"]


class ProductEvent(Event):
    aggregate: ClassVar[str] = "products"

    product_id: UUID

    @property
    def key(self) -> UUID:
        return self.product_id


class ProductAdded(ProductEvent):
    """A product is sold from now on; `stock` pieces came with it."""

    sku: str
    category_id: UUID
    group_id: UUID | None
    amount: Money
    currency: str
    stock: int


class ProductChanged(ProductEvent):
    members: tuple[ProductField, ...]


class PriceChanged(ProductEvent):
    """`compare_at` is a former or recommended price, where there is one."""

    amount: Money
    currency: str
    compare_at: Money | None


class ProductDeleted(ProductEvent):
    pass


class GoodsReceived(ProductEvent):
    quantity: int


class StockCorrected(ProductEvent):
    """`quantity` more pieces were found, fewer (negative) are there."""

    quantity: int


class ReservedLine(Data):
    product_id: UUID
    quantity: int


class ReservationEvent(Event):
    aggregate: ClassVar[str] = "reservations"

    order_id: UUID
    lines: tuple[ReservedLine, ...]

    @property
    def key(self) -> UUID:
        return self.order_id


class ReservationHeld(ReservationEvent):
    """The pieces are kept for the order, for a while."""


class ReservationCommitted(ReservationEvent):
    """The pieces are sold."""


class ReservationReleased(ReservationEvent):
    """The pieces are available again; `sold` says whether they had been sold."""

    sold: bool


class ReservationExpired(ReservationEvent):
    """Nobody ended the hold in its time: the pieces are available again."""


EVENTS: tuple[type[Event], ...] = (
    ProductAdded,
    ProductChanged,
    PriceChanged,
    ProductDeleted,
    GoodsReceived,
    StockCorrected,
    ReservationHeld,
    ReservationCommitted,
    ReservationReleased,
    ReservationExpired,
)
