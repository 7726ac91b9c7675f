"""The events that a shop front sends, and what each must say. Closed: an unknown type or member is refused.

An event's time is the shopper's clock. `sent_at` of the request corrects a clock that is wrong; what is then still out of
bounds is refused, so that no report has a row in the future or in a month that was closed long ago.
"""

from datetime import datetime, timedelta
from typing import Annotated, Literal
from uuid import UUID

from pydantic import Field, StringConstraints

from services.kit.schema import KEYS, WHOLE, Input, Moment, Output, Quantity, Text

MAX_EVENTS = 500
MAX_BODY_BYTES = 256 * 1024
LATE = timedelta(days=7)
EARLY = timedelta(minutes=5)

Id = Annotated[str, StringConstraints(min_length=1, max_length=100, pattern=r"^[!-~]+$")]
Short = Annotated[Text, StringConstraints(max_length=200)]
Address = Annotated[Text, StringConstraints(min_length=1, max_length=2000)]
Filter = Short | Annotated[bool, Field(strict=True)] | Annotated[list[Short], Field(max_length=20)]
Position = Annotated[int, Field(ge=1, le=100_000, strict=True, description="place in the list, from 1"), WHOLE]


class _Event(Input):
    event_id: UUID | None = Field(
        default=None,
        description="the sender's own id, for repeating a request without counting twice; else one is made",
    )
    at: Moment | None = Field(default=None, description="when it happened, by the shopper's clock; else now")
    session: Id = Field(description="opaque id of the visit")
    user_id: UUID | None = Field(default=None, description="who it was, if known")


class PageView(_Event):
    type: Literal["page_view"]
    path: Address = Field(description="path of the page, without the host")
    title: Short | None = None
    referrer: Address | None = None


class ProductView(_Event):
    type: Literal["product_view"]
    product_id: UUID
    position: Position | None = None
    query_id: Id | None = Field(default=None, description="the search that led here")


class Search(_Event):
    type: Literal["search"]
    query: Short
    filters: Annotated[dict[Id, Filter], Field(max_length=20), KEYS] = Field(default_factory=dict)
    total: Annotated[int, Field(ge=0, le=2**53, strict=True), WHOLE] | None = Field(default=None, description="hits")
    query_id: Id | None = None


class CartAdd(_Event):
    type: Literal["cart_add"]
    product_id: UUID
    quantity: Quantity = 1


class CartRemove(_Event):
    type: Literal["cart_remove"]
    product_id: UUID
    quantity: Quantity = 1


class OrderPlaced(_Event):
    type: Literal["order_placed"]
    order_id: UUID


Event = Annotated[PageView | ProductView | Search | CartAdd | CartRemove | OrderPlaced, Field(discriminator="type")]


class EventBatch(Input):
    """Up to 500 events, taken together or not at all."""

    sent_at: Moment | None = Field(default=None, description="the sender's clock when sending")
    events: Annotated[list[Event], Field(min_length=1, max_length=MAX_EVENTS)]


class Accepted(Output):
    event_ids: list[UUID] = Field(description="ids under which the events are recorded, in the request's order")


def happened_at(at: datetime | None, sent_at: datetime | None, received_at: datetime) -> datetime | None:
    """When an event happened by the server's clock; None when that is not within bounds."""
    if at is None:
        return received_at
    try:
        corrected = at if sent_at is None else at + (received_at - sent_at)
        within = received_at - LATE <= corrected <= received_at + EARLY
    except OverflowError:  # a time at the edge of the calendar
        return None
    return corrected if within else None
