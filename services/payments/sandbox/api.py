"""The HTTP surface of the sandbox provider: commands that can be repeated, its list by time, and its faults."""

import asyncio
from collections.abc import Callable
from datetime import datetime
from typing import Annotated, Any, TypeVar

from fastapi import APIRouter, FastAPI, Query
from pydantic import AwareDatetime, Field

from services.kit.http import Wiring, application
from services.kit.problem import Unavailable, Unexpected, Unprocessable, declared
from services.kit.schema import Amount, Currency, Input, Name, Output
from services.kit.state import from_state
from services.payments.sandbox.book import Book
from services.payments.sandbox.faults import Fault, Faults, Operation

Reference = Annotated[Name, Field(max_length=200)]
T = TypeVar("T")

router = APIRouter(tags=["provider"])


class NewCharge(Input):
    reference: Reference
    amount: Amount
    currency: Currency
    token: Annotated[Name, Field(max_length=100)]


class NewRefund(Input):
    reference: Reference
    amount: Amount


class RefundMade(Output):
    id: str
    reference: str
    charge_id: str
    amount: str


class ChargeMade(Output):
    id: str
    reference: str
    amount: str
    currency: str
    status: str
    failure_code: str | None
    created_at: datetime
    updated_at: datetime
    refunds: list[RefundMade]


class Charges(Output):
    items: list[ChargeMade]
    next_cursor: str | None = None


class Desk:
    """The book, and the faults that stand between it and whoever asks."""

    def __init__(self, book: Book) -> None:
        self.book = book
        self.faults = Faults()

    async def serve(
        self, operation: Operation, about: str, token: str, command: str, do: Callable[..., T], /, **arguments: Any
    ) -> T:
        """Do `command` of the book, or fail at it. `about` is what the operation's repetitions have in common."""
        self.book.require_idle(command, about)
        faults = self.faults
        fault = faults.strikes(operation, about, self.book.attempt(operation, about), token)
        if fault is Fault.ERROR:
            raise Unexpected("the provider has a fault")
        if fault is Fault.LATE:
            self.book.put_off(faults.late_s, command, about, **arguments)
        if fault in (Fault.LATE, Fault.UNREACHED):
            await asyncio.sleep(faults.silent_s)
            raise Unavailable("the provider did not get to it")
        if fault is Fault.DECLINED:
            arguments["failure_code"] = "card_declined" if operation == Operation.AUTHORISE else "withdrawn"
        if fault is Fault.TWICE:
            arguments["times"] = 2
        done = do(**arguments)
        if fault is Fault.LOST:
            await asyncio.sleep(faults.silent_s)
        return done


Opened = Annotated[Desk, from_state("desk")]


@router.post("/charges", responses=declared(409))
async def authorise(new: NewCharge, desk: Opened) -> ChargeMade:
    """Authorise once per reference; asked again, the answer is the same whatever the token."""
    values = {**new.model_dump(), "amount": str(new.amount)}
    return ChargeMade.model_validate(
        await desk.serve(Operation.AUTHORISE, new.reference, new.token, "authorise", desk.book.authorise, **values)
    )


@router.get("/charges")
async def charges(
    desk: Opened,
    reference: Annotated[str | None, Query(max_length=200)] = None,
    since: Annotated[AwareDatetime | None, Query(description="made or changed at this time or later")] = None,
    cursor: Annotated[str | None, Query(max_length=100)] = None,
    limit: Annotated[int, Query(ge=1, le=500)] = 100,
) -> Charges:
    """The charges under a reference; or all by the time of their last change, in pages."""
    if reference is not None:
        return Charges(items=[ChargeMade.model_validate(found) for found in desk.book.under(reference)])
    rows = desk.book.changed(since.timestamp() if since else 0.0, _read(cursor), limit)
    items = [ChargeMade.model_validate(found) for found in rows]
    return Charges(items=items, next_cursor=f"{rows[-1].updated_at!r}_{rows[-1].id}" if len(rows) == limit else None)


def _read(cursor: str | None) -> tuple[float, str]:
    at, _, charge_id = (cursor or "-1.0_").partition("_")
    try:
        return float(at), charge_id
    except ValueError:
        raise Unprocessable("this cursor is not one of this list; start again without a cursor") from None


@router.get("/charges/{charge_id}", responses=declared(404))
async def read_charge(charge_id: str, desk: Opened) -> ChargeMade:
    return ChargeMade.model_validate(desk.book.charge(charge_id))


@router.post("/charges/{charge_id}/capture", responses=declared(404, 409))
async def capture(charge_id: str, desk: Opened) -> ChargeMade:
    """Take what was authorised. Can be repeated; refused when it was voided."""
    token = desk.book.charge(charge_id).token
    return ChargeMade.model_validate(
        await desk.serve(Operation.CAPTURE, charge_id, token, "capture", desk.book.capture, charge_id=charge_id)
    )


@router.post("/charges/{charge_id}/void", responses=declared(404, 409))
async def void(charge_id: str, desk: Opened) -> ChargeMade:
    """Let go of what was authorised. Can be repeated; refused when it was captured."""
    token = desk.book.charge(charge_id).token
    return ChargeMade.model_validate(
        await desk.serve(Operation.VOID, charge_id, token, "void", desk.book.void, charge_id=charge_id)
    )


@router.post("/charges/{charge_id}/refunds", responses=declared(404, 409))
async def refund(charge_id: str, new: NewRefund, desk: Opened) -> RefundMade:
    """Refund once per reference; asked again, the answer is the first one."""
    token = desk.book.charge(charge_id).token
    values = {"charge_id": charge_id, "reference": new.reference, "amount": str(new.amount)}
    return RefundMade.model_validate(
        await desk.serve(Operation.REFUND, new.reference, token, "refund", desk.book.refund, **values)
    )


@router.get("/faults")
async def read_faults(desk: Opened) -> Faults:
    return desk.faults


@router.put("/faults")
async def set_faults(faults: Faults, desk: Opened) -> Faults:
    """From now on these faults are drawn by lot; an empty object ends them all. Forgotten at a restart."""
    desk.faults = faults
    return faults


def build(wiring: Wiring | None = None) -> FastAPI:
    return application("payment-provider", router, wiring)
