"""The HTTP surface of payments. Decides nothing: it names routes, who may call them, statuses and types."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, FastAPI, Query, Response

from services.kit import idempotency
from services.kit.auth import allow
from services.kit.http import Wiring, application
from services.kit.principal import Role
from services.kit.problem import declared
from services.kit.state import from_state
from services.payments.refunds import Refunds
from services.payments.schemas import NewPayment, NewRefund, Payment, Payments, Refund, Void
from services.payments.service import PaymentService

router = APIRouter(tags=["payments"])


Service = Annotated[PaymentService, from_state("service")]

TAKERS = [allow(Role.PAYMENTS_TAKE)]
READERS = [allow(Role.PAYMENTS_TAKE, Role.SUPPORT, Role.OPERATOR, Role.ADMIN)]
REFUNDERS = [allow(Role.SUPPORT, Role.OPERATOR, Role.ADMIN)]


@router.post("/payments", status_code=201, responses=declared(402, 409), dependencies=TAKERS)
async def pay(new: NewPayment, payments: Service) -> Payment:
    """Authorise the payment of an order. The same order again gets the same outcome; a declined one stays on record."""
    return await payments.authorise(new)


@router.post("/payments/{order_id}/capture", responses=declared(402, 404, 409), dependencies=TAKERS)
async def capture_payment(order_id: UUID, payments: Service) -> Payment:
    """Take what was authorised for the order. Can be repeated."""
    return await payments.capture(order_id)


@router.post("/payments/void", status_code=204, dependencies=TAKERS)
async def void_payment(void: Void, payments: Service) -> None:
    """Leave the order with no money taken, and let none be taken later: void what is authorised, refund what is
    captured, refuse a payment that comes after. Can be repeated."""
    await payments.void(void)


@router.get("/payments", dependencies=READERS)
async def payments_of_order(order_id: Annotated[UUID, Query()], payments: Service) -> Payments:
    """The payment of an order, if there is one."""
    return await payments.of_order(order_id)


@router.get("/payments/{payment_id:uuid}", responses=declared(404), dependencies=READERS)
async def read_payment(payment_id: UUID, payments: Service) -> Payment:
    return await payments.read(payment_id)


@router.post(
    "/payments/{payment_id}/refunds",
    status_code=201,
    response_model=Refund,
    responses={**declared(404), **idempotency.RESPONSES},
    dependencies=REFUNDERS,
)
async def refund_payment(
    payment_id: UUID,
    new: NewRefund,
    refunds: Annotated[Refunds, from_state("refunds")],
    once: idempotency.Required,
) -> Response:
    """Give back a part or all of a captured payment, never more than was captured. The same Idempotency-Key names the
    same refund: after a 503 ask again with it."""
    return await refunds.make(payment_id, new, once)


def build(wiring: Wiring | None = None) -> FastAPI:
    """The payments app; without `wiring` it can only describe itself."""
    return application("payments", router, wiring, strict=True)
