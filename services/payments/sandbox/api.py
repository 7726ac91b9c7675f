"""The HTTP surface of the sandbox provider."""

import asyncio
from typing import Annotated

from fastapi import APIRouter, Depends, FastAPI, Query, Request
from pydantic import Field

from services.kit.http import Wiring, application
from services.kit.problem import declared
from services.kit.schema import Amount, Currency, Input, Name, Output
from services.payments.sandbox.book import Book

ALWAYS_DECLINED = "tok_declined"
ANSWER_LOST = "tok_lost"
# Longer than any caller waits.
LOST_FOR_S = 30.0

Reference = Annotated[Name, Field(max_length=100)]

router = APIRouter(tags=["provider"])


class NewCharge(Input):
    reference: Reference
    amount: Amount
    currency: Currency
    token: Annotated[Name, Field(max_length=100)]


class ChargeMade(Output):
    id: str
    reference: str
    amount: str
    currency: str
    status: str
    failure_code: str | None


class Charges(Output):
    items: list[ChargeMade]


class NewRefund(Input):
    reference: Reference
    amount: Amount


class RefundMade(Output):
    id: str
    reference: str
    charge_id: str
    amount: str


async def book(request: Request) -> Book:
    opened: Book = request.app.state.book
    return opened


Opened = Annotated[Book, Depends(book)]


@router.post("/charges", responses=declared(409))
async def charge(new: NewCharge, book: Opened) -> ChargeMade:
    """Charge once per reference; asked again, the answer is the same whatever the token."""
    failure_code = "card_declined" if new.token == ALWAYS_DECLINED else None
    made, is_new = book.charge(new.reference, new.amount, new.currency, failure_code)
    if is_new and new.token == ANSWER_LOST:
        await asyncio.sleep(LOST_FOR_S)
    return ChargeMade.model_validate(made)


@router.get("/charges")
async def charges(reference: Annotated[str, Query(max_length=100)], book: Opened) -> Charges:
    return Charges(items=[ChargeMade.model_validate(found) for found in book.charges(reference)])


@router.post("/charges/{charge_id}/refunds", responses=declared(404, 409))
async def refund(charge_id: str, new: NewRefund, book: Opened) -> RefundMade:
    """Refund once per reference; asked again, the answer is the first one."""
    return RefundMade.model_validate(book.refund(charge_id, new.reference, new.amount))


def build(wiring: Wiring | None = None) -> FastAPI:
    return application("payment-provider", router, wiring)
