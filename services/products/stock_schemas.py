"""The JSON of holds, goods and stock movements."""

from datetime import datetime
from decimal import Decimal
from typing import Annotated, Literal, Self
from uuid import UUID

from pydantic import AfterValidator, Field, model_validator

from services.kit.schema import WHOLE, Input, Name, Output, Quantity, Told, broken

MAX_LINES = 50
_MAX_AT_ONCE = 1_000_000


def _something(value: int) -> int:
    if value == 0:
        raise ValueError("must not be 0")
    return value


Goods = Annotated[int, Field(ge=1, le=_MAX_AT_ONCE, strict=True), WHOLE]
Correction = Annotated[
    int,
    Field(ge=-_MAX_AT_ONCE, le=_MAX_AT_ONCE, strict=True),
    WHOLE,
    AfterValidator(_something),
    Told({"not": {"const": 0}}),
]
HoldState = Literal["held", "committed", "released", "expired"]
MovementKind = Literal["received", "adjusted", "reserved", "released", "expired", "committed", "returned"]


class GoodsReceived(Input):
    delta: Goods


class StockCorrection(Input):
    delta: Correction = Field(description="negative: so many pieces fewer than thought; positive: more")
    reason: Annotated[Name, Field(max_length=200)]


class Movement(Output):
    kind: MovementKind
    quantity: int = Field(description="pieces; negative only for an adjustment")
    order_id: UUID | None
    reason: str | None = Field(description="why it was adjusted")
    at: datetime


class WantedLine(Input):
    product_id: UUID
    quantity: Quantity


class NewReservation(Input):
    order_id: UUID
    lines: Annotated[list[WantedLine], Field(min_length=1, max_length=MAX_LINES)]

    @model_validator(mode="after")
    def _each_product_once(self) -> Self:
        if len({line.product_id for line in self.lines}) < len(self.lines):
            raise broken("lines must name each product once")
        return self


class ReservedLine(Output):
    product_id: UUID
    sku: str
    name: str
    quantity: int
    unit_price: Decimal
    currency: str


class Reservation(Output):
    order_id: UUID
    lines: list[ReservedLine]
    expires_at: datetime = Field(description="when the pieces are given back unless they are committed before")


class ReservationState(Reservation):
    state: HoldState
