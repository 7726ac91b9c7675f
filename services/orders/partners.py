"""The other services as an order needs them. Each command carries the order's id as its key, so it can be repeated.

A refusal becomes an error of the order's own; a missing answer stays CallUnavailable: whether the command took effect
is unknown then, and its undo must be called.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any
from uuid import UUID

from services.kit.client import CallRefused, ServiceClient
from services.kit.problem import Conflict, ProblemError, Unprocessable


class UnknownUser(Unprocessable):
    slug = "unknown-user"


class UnknownProduct(Unprocessable):
    slug = "unknown-product"


class InsufficientStock(Conflict):
    slug = "insufficient-stock"


class NotSold(Conflict):
    slug = "not-sold"


class ReservationClosed(Conflict):
    slug = "reservation-closed"


class PaymentClosed(Conflict):
    slug = "payment-closed"


class PaymentDeclined(ProblemError):
    status, slug = 402, "payment-declined"


@dataclass(frozen=True, slots=True)
class ReservedLine:
    product_id: str
    sku: str
    name: str
    quantity: int
    unit_price: Decimal
    currency: str


@dataclass(frozen=True, slots=True)
class Contact:
    email: str
    full_name: str


class Partners:
    def __init__(self, users: ServiceClient, products: ServiceClient, payments: ServiceClient) -> None:
        self._users = users
        self._products = products
        self._payments = payments

    async def require_user(self, user_id: UUID) -> None:
        try:
            await self._users.call("GET", f"/users/{user_id}")
        except CallRefused as refusal:
            if refusal.answered != 404:
                raise
            raise UnknownUser(f"there is no user {user_id}") from refusal

    async def contact(self, user_id: UUID) -> Contact | None:
        """Where the user's mail goes; None when the user is gone."""
        try:
            user = await self._users.call("GET", f"/users/{user_id}")
        except CallRefused as refusal:
            if refusal.answered == 404:
                return None
            raise
        return Contact(user["email"], user["full_name"])

    async def require_products(self, ids: Sequence[UUID]) -> None:
        page = await self._products.call("GET", "/products", params={"id": [str(product_id) for product_id in ids]})
        known = {product["id"] for product in page["items"]}
        if missing := [str(product_id) for product_id in ids if str(product_id) not in known]:
            raise UnknownProduct(f"there is no product {', '.join(missing)}", products=missing)

    async def reserve(self, order_id: UUID, wanted: dict[UUID, int]) -> list[ReservedLine]:
        lines = [{"product_id": str(product), "quantity": quantity} for product, quantity in wanted.items()]
        try:
            held = await self._products.call("POST", "/reservations", json={"order_id": str(order_id), "lines": lines})
        except CallRefused as refusal:
            raise _stock_error(refusal) from refusal
        return [ReservedLine(**{**line, "unit_price": Decimal(line["unit_price"])}) for line in held["lines"]]

    async def commit(self, order_id: UUID) -> None:
        """The held pieces are the order's: from now on the hold does not expire. Raises ReservationClosed."""
        try:
            await self._products.call("POST", f"/reservations/{order_id}/commit")
        except CallRefused as refusal:
            raise _stock_error(refusal) from refusal

    async def release(self, order_id: UUID) -> None:
        """Whatever is held or sold is available again, and a later reservation is refused."""
        await self._products.call("POST", f"/reservations/{order_id}/release")

    async def authorise(self, order_id: UUID, amount: Decimal, currency: str, method: str, token: str) -> None:
        """Have the amount set aside. Raises PaymentDeclined, or PaymentClosed after a void."""
        body = {
            "order_id": str(order_id),
            "amount": str(amount),
            "currency": currency,
            "method": method,
            "token": token,
        }
        try:
            await self._payments.call("POST", "/payments", json=body)
        except CallRefused as refusal:
            raise _payment_error(refusal) from refusal

    async def capture(self, order_id: UUID) -> None:
        """Take what was set aside. Raises PaymentClosed when that is no longer possible."""
        try:
            await self._payments.call("POST", f"/payments/{order_id}/capture")
        except CallRefused as refusal:
            raise _payment_error(refusal) from refusal

    async def void(self, order_id: UUID, reason: str) -> None:
        await self._payments.call("POST", "/payments/void", json={"order_id": str(order_id), "reason": reason})


def _stock_error(refusal: CallRefused) -> ProblemError:
    received: dict[str, Any] = refusal.document_received
    if refusal.kind == ReservationClosed.slug:
        return ReservationClosed("the reservation has expired or was released; place a new order")
    kinds: dict[str, type[ProblemError]] = {
        "insufficient-stock": InsufficientStock,
        "unknown-product": UnknownProduct,
        "not-sold": NotSold,
    }
    kind = kinds.get(refusal.kind)
    return refusal if kind is None else kind(str(received.get("detail")), products=received.get("products", []))


def _payment_error(refusal: CallRefused) -> ProblemError:
    received: dict[str, Any] = refusal.document_received
    if refusal.kind == PaymentClosed.slug:
        return PaymentClosed("the payment was voided; place a new order")
    if refusal.answered != 402:
        return refusal
    detail = str(received.get("detail", "the payment was declined"))
    return PaymentDeclined(detail, failure_code=received.get("failure_code"))
