"""Payments and refunds against the sandbox provider."""

import asyncio
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal
from typing import Any
from uuid import UUID, uuid4

import pytest

from services.kit.client import ServiceClient
from services.kit.db import Primary
from services.payments.provider import Charge, Provider
from services.payments.schemas import NewPayment, Void
from services.payments.service import PaymentDeclined, PaymentService
from tests.integration.services.shop import Shop


def request(amount: str = "20.00", token: str = "tok_ok", **members: Any) -> dict[str, Any]:
    return {
        "order_id": str(uuid4()),
        "amount": amount,
        "currency": "EUR",
        "method": "card",
        "token": token,
        **members,
    }


def at_provider(shop: Shop, order_id: str) -> list[dict[str, Any]]:
    charges: list[dict[str, Any]] = shop.ask("payment_provider", "GET", f"/charges?reference={order_id}", 200)["items"]
    return charges


def test_a_payment_is_captured_once(shop: Shop) -> None:
    body = request()
    paid = shop.ask("payments", "POST", "/payments", 201, body)
    assert (paid["status"], paid["amount"], paid["refunded"]) == ("CAPTURED", "20.00", "0.00")
    assert shop.ask("payments", "POST", "/payments", 201, body) == paid
    assert shop.ask("payments", "GET", f"/payments/{paid['id']}", 200) == paid
    assert [charge["id"] for charge in at_provider(shop, body["order_id"])] == [paid["provider_reference"]]
    shop.ask("payments", "POST", "/payments", 409, {**body, "amount": "21.00"})


def test_the_same_payment_sent_at_once_is_captured_once(shop: Shop) -> None:
    body = request()
    with ThreadPoolExecutor(6) as pool:
        answers = list(pool.map(lambda _: shop.call("payments", "POST", "/payments", json=body), range(12)))
    assert {answer.status_code for answer in answers} == {201}
    assert len({answer.json()["id"] for answer in answers}) == 1


def test_a_declined_payment_stays_declined(shop: Shop) -> None:
    body = request(token="tok_declined")
    for repeated in (body, {**body, "token": "tok_ok"}):
        refusal = shop.ask("payments", "POST", "/payments", 402, repeated)
        assert (refusal["type"], refusal["failure_code"]) == ("urn:millrace:problem:payment-declined", "card_declined")
    payment = shop.payment(body["order_id"])
    assert payment is not None
    assert payment["status"] == "DECLINED"
    shop.ask("payments", "POST", f"/payments/{payment['id']}/refunds", 409, {"amount": "1.00", "reason": "no"})


def test_an_answer_that_was_lost_is_asked_for_by_reference(shop: Shop) -> None:
    body = request(token="tok_lost")
    paid = shop.ask("payments", "POST", "/payments", 201, body)
    assert paid["status"] == "CAPTURED"
    assert [charge["id"] for charge in at_provider(shop, body["order_id"])] == [paid["provider_reference"]]


def test_refunds_never_exceed_the_payment(shop: Shop) -> None:
    paid = shop.ask("payments", "POST", "/payments", 201, request("20.00"))
    path = f"/payments/{paid['id']}/refunds"
    refund = shop.ask("payments", "POST", path, 201, {"amount": "15.00", "reason": "broken"})
    assert (refund["amount"], refund["reason"]) == ("15.00", "broken")
    before = shop.written()
    refusal = shop.ask("payments", "POST", path, 409, {"amount": "5.01", "reason": "greed"})
    assert refusal["type"] == "urn:millrace:problem:over-refund"
    assert shop.written() == before
    shop.ask("payments", "POST", path, 201, {"amount": "5.00", "reason": "broken"})
    now = shop.ask("payments", "GET", f"/payments/{paid['id']}", 200)
    assert (now["status"], now["refunded"]) == ("REFUNDED", "20.00")
    shop.ask("payments", "POST", path, 409, {"amount": "0.01", "reason": "greed"})


def test_refunds_made_at_once_keep_the_bound(shop: Shop) -> None:
    paid = shop.ask("payments", "POST", "/payments", 201, request("10.00"))
    body = {"amount": "4.00", "reason": "broken"}
    with ThreadPoolExecutor(6) as pool:
        path = f"/payments/{paid['id']}/refunds"
        statuses = Counter(pool.map(lambda _: shop.call("payments", "POST", path, json=body).status_code, range(6)))
    assert set(statuses) <= {201, 409}
    [(refunded, noted)] = shop.sql(
        "payments",
        "SELECT refunded, (SELECT sum(amount) FROM refunds WHERE payment_id = payments.id) FROM payments WHERE id = %s",
        [paid["id"]],
    )
    assert refunded == noted == 4 * statuses[201]
    assert refunded <= 10


@pytest.mark.parametrize("earlier_refund", [None, "5.00"])
def test_voiding_gives_back_what_is_left_and_can_be_repeated(shop: Shop, earlier_refund: str | None) -> None:
    body = request("20.00")
    paid = shop.ask("payments", "POST", "/payments", 201, body)
    if earlier_refund:
        partial = {"amount": earlier_refund, "reason": "broken"}
        shop.ask("payments", "POST", f"/payments/{paid['id']}/refunds", 201, partial)
    void = {"order_id": body["order_id"], "reason": "order failed"}
    with ThreadPoolExecutor(4) as pool:
        answers = pool.map(lambda _: shop.call("payments", "POST", "/payments/void", json=void).status_code, range(4))
        assert set(answers) == {204}
    payment = shop.payment(body["order_id"])
    assert payment is not None
    assert (payment["status"], payment["refunded"]) == ("REFUNDED", "20.00")
    [(refunds,)] = shop.sql("payments", "SELECT count(*) FROM refunds WHERE payment_id = %s", [paid["id"]])
    assert refunds == (2 if earlier_refund else 1)


def test_voiding_where_nothing_was_taken_does_nothing(shop: Shop) -> None:
    declined = request(token="tok_declined")
    shop.ask("payments", "POST", "/payments", 402, declined)
    before = shop.written()
    for order_id in (declined["order_id"], str(uuid4())):
        shop.ask("payments", "POST", "/payments/void", 204, {"order_id": order_id, "reason": "order failed"})
    assert shop.written() == before


def test_a_payment_voided_while_it_was_open_is_refused_and_given_back(shop: Shop) -> None:
    body = request("20.00", "tok_lost")
    with ThreadPoolExecutor(1) as pool:
        paying = pool.submit(shop.call, "payments", "POST", "/payments", json=body)
        while not at_provider(shop, body["order_id"]):
            assert not paying.done(), "the provider was never asked"
        shop.ask("payments", "POST", "/payments/void", 204, {"order_id": body["order_id"], "reason": "gave up"})
        assert paying.result().status_code == 409
    payment = shop.payment(body["order_id"])
    assert payment is not None
    assert (payment["status"], payment["refunded"]) == ("REFUNDED", "20.00")


class LateProvider(Provider):
    """The sandbox, but each charge reaches it only after the order was voided."""

    def __init__(self, client: ServiceClient, primary: Primary) -> None:
        super().__init__(client)
        self._primary = primary

    async def charge(self, order_id: UUID, amount: Decimal, currency: str, token: str) -> Charge:
        await PaymentService(self._primary, self).void(Void(order_id=order_id, reason="gave up"))
        return await super().charge(order_id, amount, currency, token)


def test_money_that_comes_after_the_void_goes_back(shop: Shop) -> None:
    body = request("20.00")

    async def pay() -> None:
        async with (
            Primary(shop.env["PAYMENTS_DSN"], "test") as primary,
            ServiceClient("provider", shop.url("payment_provider")) as client,
        ):
            with pytest.raises(PaymentDeclined, match="voided"):
                await PaymentService(primary, LateProvider(client, primary)).pay(NewPayment.model_validate(body))

    asyncio.run(pay())
    [charge] = at_provider(shop, body["order_id"])
    assert charge["status"] == "captured"
    again = {"reference": "one cent more", "amount": "0.01"}
    refusal = shop.ask("payment_provider", "POST", f"/charges/{charge['id']}/refunds", 409, again)
    assert refusal["detail"] == "refunds would exceed the charge"
