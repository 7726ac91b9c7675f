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
        await self._products.call("POST", f"/reservations/{order_id}/commit")

    async def release(self, order_id: UUID) -> None:
        await self._products.call("POST", f"/reservations/{order_id}/release")

    async def pay(self, order_id: UUID, amount: Decimal, currency: str, method: str, token: str) -> None:
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
            if refusal.answered != 402:
                raise
            received = refusal.document_received
            raise PaymentDeclined(
                str(received.get("detail", "the payment was declined")), failure_code=received.get("failure_code")
            ) from refusal

    async def void(self, order_id: UUID, reason: str) -> None:
        await self._payments.call("POST", "/payments/void", json={"order_id": str(order_id), "reason": reason})


def _stock_error(refusal: CallRefused) -> ProblemError:
    received: dict[str, Any] = refusal.document_received
    kinds: dict[str, type[ProblemError]] = {
        "insufficient-stock": InsufficientStock,
        "unknown-product": UnknownProduct,
        "not-sold": NotSold,
    }
    kind = kinds.get(refusal.kind)
    return refusal if kind is None else kind(str(received.get("detail")), products=received.get("products", []))
