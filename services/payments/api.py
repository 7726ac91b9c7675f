"""The HTTP surface of payments. Decides nothing: it names routes, statuses and types, and asks the service."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Depends, FastAPI, Query, Request

from services.kit.http import Wiring, application
from services.kit.problem import declared
from services.payments.schemas import NewPayment, NewRefund, Payment, Payments, Refund, Void
from services.payments.service import PaymentService

router = APIRouter(tags=["payments"])


async def service(request: Request) -> PaymentService:
    payments: PaymentService = request.app.state.service
    return payments


Service = Annotated[PaymentService, Depends(service)]


@router.post("/payments", status_code=201, responses=declared(402, 409))
async def pay(new: NewPayment, payments: Service) -> Payment:
    """Capture the payment of an order. The same order again gets the same outcome; a declined one stays on record."""
    return await payments.pay(new)


@router.post("/payments/void", status_code=204, responses=declared(409))
async def void_payment(void: Void, payments: Service) -> None:
    """Leave the order with no money taken: refund what is captured. Can be repeated."""
    await payments.void(void)


@router.get("/payments")
async def payments_of_order(order_id: Annotated[UUID, Query()], payments: Service) -> Payments:
    """The payment of an order, if there is one."""
    return await payments.of_order(order_id)


@router.get("/payments/{payment_id}", responses=declared(404))
async def read_payment(payment_id: UUID, payments: Service) -> Payment:
    return await payments.read(payment_id)


@router.post("/payments/{payment_id}/refunds", status_code=201, responses=declared(404, 409))
async def refund_payment(payment_id: UUID, new: NewRefund, payments: Service) -> Refund:
    """Give back a part or all of a captured payment, never more than was captured."""
    return await payments.refund(payment_id, new)


def build(wiring: Wiring | None = None) -> FastAPI:
    """The payments app; without `wiring` it can only describe itself."""
    return application("payments", router, wiring)
