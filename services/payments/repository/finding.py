"""Reading payments and the refunds that are noted."""

from uuid import UUID

from services.kit.db import Primary
from services.payments.repository.rows import PaymentRow, RefundRow


async def find(primary: Primary, payment_id: UUID) -> PaymentRow | None:
    return await primary.one(PaymentRow, "SELECT * FROM payments WHERE id = %s", [payment_id])


async def find_of_order(primary: Primary, order_id: UUID) -> PaymentRow | None:
    return await primary.one(PaymentRow, "SELECT * FROM payments WHERE order_id = %s", [order_id])


async def of_orders(primary: Primary, order_ids: list[UUID]) -> list[PaymentRow]:
    return await primary.all(PaymentRow, "SELECT * FROM payments WHERE order_id = ANY(%s)", [order_ids])


async def find_refund(primary: Primary, refund_id: UUID) -> RefundRow | None:
    return await primary.one(RefundRow, "SELECT * FROM refunds WHERE id = %s", [refund_id])


async def refund_ids(primary: Primary, payment_id: UUID) -> set[UUID]:
    """The refunds of the payment that are noted."""
    rows = await primary.all(RefundRow, "SELECT * FROM refunds WHERE payment_id = %s", [payment_id])
    return {row.id for row in rows}
