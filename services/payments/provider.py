"""The payment provider as payments sees it. An answer that was lost is asked for by reference, never assumed.

Every command carries a reference of ours under which the provider does it at most once, so asking again is safe.
"""

from dataclasses import dataclass
from decimal import Decimal
from typing import Any
from uuid import UUID

from services.kit.client import CallUnavailable, ServiceClient
from services.kit.problem import Unavailable

_ROUNDS = 3


class ProviderUnavailable(Unavailable):
    """Transient: it is not known whether the money moved; the same request again finds out."""

    slug = "payment-provider-unavailable"


@dataclass(frozen=True, slots=True)
class Charge:
    id: str
    status: str
    failure_code: str | None

    @property
    def captured(self) -> bool:
        return self.status == "captured"


def _charge(body: dict[str, Any]) -> Charge:
    return Charge(body["id"], body["status"], body.get("failure_code"))


class Provider:
    def __init__(self, client: ServiceClient) -> None:
        self._client = client

    async def charge(self, order_id: UUID, amount: Decimal, currency: str, token: str) -> Charge:
        """Take the money once, whatever happens on the line. Raises ProviderUnavailable when nothing is certain."""
        body = {"reference": str(order_id), "amount": str(amount), "currency": currency, "token": token}
        for _ in range(_ROUNDS):
            try:
                return _charge(await self._client.call("POST", "/charges", json=body, attempts=1))
            except CallUnavailable:
                if (known := await self.find(order_id)) is not None:
                    return known
        raise ProviderUnavailable("the payment provider did not answer; try again")

    async def find(self, order_id: UUID) -> Charge | None:
        """The charge of the order, None when the provider knows none."""
        try:
            charges = (await self._client.call("GET", "/charges", params={"reference": str(order_id)}))["items"]
        except CallUnavailable as error:
            raise ProviderUnavailable("the payment provider did not answer; try again") from error
        return _charge(charges[0]) if charges else None

    async def refund(self, charge_id: str, reference: str, amount: Decimal) -> Decimal:
        """Give money back once per reference; what was given back under it, which is `amount` unless it came before."""
        body = {"reference": reference, "amount": str(amount)}
        try:
            made = await self._client.call("POST", f"/charges/{charge_id}/refunds", json=body)
        except CallUnavailable as error:
            raise ProviderUnavailable("the payment provider did not answer; try again") from error
        return Decimal(made["amount"])
