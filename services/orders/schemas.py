"""The JSON of the orders service."""

from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal
from typing import Annotated, Literal, Self
from uuid import UUID

from pydantic import Field, model_validator

from services.kit.schema import MAX_QUANTITY, Input, Name, Output, Quantity, broken
from services.orders.repository import ItemRow, OrderRow

MAX_ITEMS = 50


class WantedItem(Input):
    product_id: UUID
    quantity: Quantity


class PaymentMeans(Input):
    method: Literal["card", "invoice", "wallet"]
    token: Annotated[Name, Field(max_length=100)]


class NewOrder(Input):
    user_id: UUID
    items: Annotated[
        list[WantedItem],
        Field(min_length=1, max_length=MAX_ITEMS, description="a product named twice becomes one line"),
    ]
    payment: PaymentMeans

    @property
    def wanted(self) -> dict[UUID, int]:
        """Pieces per product, in the order of first mention."""
        pieces: dict[UUID, int] = {}
        for item in self.items:
            pieces[item.product_id] = pieces.get(item.product_id, 0) + item.quantity
        return pieces

    @model_validator(mode="after")
    def _bounded_per_product(self) -> Self:
        if any(quantity > MAX_QUANTITY for quantity in self.wanted.values()):
            raise broken(f"an order takes at most {MAX_QUANTITY} pieces of a product")
        return self


class Item(Output):
    line: int
    product_id: UUID
    sku: str
    product_name: str
    quantity: int
    unit_price: Decimal
    line_total: Decimal


class Order(Output):
    id: UUID
    user_id: UUID
    status: str
    failure: str | None
    currency: str
    subtotal: Decimal
    discount: Decimal
    tax: Decimal
    shipping: Decimal
    total: Decimal
    placed_at: datetime
    updated_at: datetime
    version: int
    items: list[Item]


def show(row: OrderRow, lines: Sequence[ItemRow]) -> Order:
    """The order as it is answered."""
    items = [Item.model_validate(line) for line in lines]
    return Order.model_validate({**{name: getattr(row, name) for name in row.__slots__}, "items": items})
