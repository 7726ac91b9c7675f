"""The sandbox provider over HTTP, as a PaymentProvider. A real one would get a module like this one."""

from collections.abc import AsyncIterator
from datetime import datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

from services.kit.client import CallRefused, CallUnavailable, ServiceClient
from services.payments.provider import Charge, ChargeStatus, ProviderRefund, ProviderUnavailable, RefundRefused

_ROUNDS = 3
_PAGE = 200


def _charge(body: dict[str, Any]) -> Charge:
    return Charge(
        id=body["id"],
        reference=body["reference"],
        status=ChargeStatus(body["status"]),
        amount=Decimal(body["amount"]),
        currency=body["currency"],
        failure_code=body.get("failure_code"),
        updated_at=datetime.fromisoformat(body["updated_at"]),
        refunds=tuple(ProviderRefund(refund["reference"], Decimal(refund["amount"])) for refund in body["refunds"]),
    )


class HttpProvider:
    """A PaymentProvider. Each call waits as long as `client` does, and is repeated a few times."""

    def __init__(self, client: ServiceClient) -> None:
        self._client = client

    async def authorise(self, order_id: UUID, amount: Decimal, currency: str, token: str) -> Charge:
        body = {"reference": str(order_id), "amount": str(amount), "currency": currency, "token": token}
        for _ in range(_ROUNDS):
            try:
                return _charge(await self._client.call("POST", "/charges", json=body, attempts=1))
            except CallUnavailable:
                if found := await self.find(str(order_id)):
                    return found[0]
        raise ProviderUnavailable

    async def capture(self, charge_id: str) -> Charge:
        return await self._end(charge_id, "capture")

    async def void(self, charge_id: str) -> Charge:
        return await self._end(charge_id, "void")

    async def refund(self, charge_id: str, reference: str, amount: Decimal) -> Decimal:
        body = {"reference": reference, "amount": str(amount)}
        try:
            made = await self._ask("POST", f"/charges/{charge_id}/refunds", json=body)
        except CallRefused as refusal:
            raise RefundRefused(refusal.detail) from refusal
        return Decimal(made["amount"])

    async def find(self, reference: str) -> list[Charge]:
        found = await self._ask("GET", "/charges", params={"reference": reference})
        return [_charge(item) for item in found["items"]]

    async def changed(self, since: datetime) -> AsyncIterator[Charge]:
        cursor: str | None = None
        while True:
            page = {"since": since.isoformat(), "limit": _PAGE, **({} if cursor is None else {"cursor": cursor})}
            listed = await self._ask("GET", "/charges", params=page)
            for item in listed["items"]:
                yield _charge(item)
            if (cursor := listed["next_cursor"]) is None:
                return

    async def _end(self, charge_id: str, command: str) -> Charge:
        """Do the command, or see what the charge has come to. An answer that stays away leaves it open."""
        for _ in range(_ROUNDS):
            try:
                return _charge(await self._client.call("POST", f"/charges/{charge_id}/{command}", attempts=1))
            except CallRefused as refusal:
                if refusal.answered != 409:
                    raise
                return _charge(await self._ask("GET", f"/charges/{charge_id}"))
            except CallUnavailable:
                now = _charge(await self._ask("GET", f"/charges/{charge_id}"))
                if now.status != ChargeStatus.AUTHORISED:
                    return now
        raise ProviderUnavailable

    async def _ask(self, method: str, path: str, *, json: object = None, params: object = None) -> Any:
        try:
            return await self._client.call(method, path, json=json, params=params)
        except CallUnavailable as error:
            raise ProviderUnavailable from error
