"""Payments and refunds over HTTP, against the sandbox provider."""

from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from uuid import uuid4

import httpx
import pytest

from services.invariants.rules import queries
from tests.integration.services.shop import Shop

BROKEN = queries("payments")


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


def authorise(shop: Shop, *arguments: str, **members: Any) -> dict[str, Any]:
    made: dict[str, Any] = shop.ask("payments", "POST", "/payments", 201, request(*arguments, **members))
    return made


def capture(shop: Shop, order_id: str, expected: int = 200) -> dict[str, Any]:
    answer: dict[str, Any] = shop.ask("payments", "POST", f"/payments/{order_id}/capture", expected)
    return answer


def paid(shop: Shop, *arguments: str, **members: Any) -> dict[str, Any]:
    return capture(shop, authorise(shop, *arguments, **members)["order_id"])


def void(shop: Shop, order_id: str) -> None:
    shop.ask("payments", "POST", "/payments/void", 204, {"order_id": order_id, "reason": "order failed"})


def key() -> str:
    return uuid4().hex


def refund(shop: Shop, taken: dict[str, Any], body: dict[str, str], name: str) -> httpx.Response:
    headers = {"Idempotency-Key": name}
    return shop.call("payments", "POST", f"/payments/{taken['id']}/refunds", json=body, headers=headers)


def require_all_holds(shop: Shop) -> None:
    assert {name: shop.sql("payments", query) for name, query in BROKEN.items()} == {name: [] for name in BROKEN}


def transfers(shop: Shop, order_id: str) -> list[tuple[str, str]]:
    """(step, kind) of the order's transfers."""
    rows = shop.sql("payments", "SELECT id, kind FROM transfers WHERE id LIKE %s ORDER BY at", [f"{order_id}:%"])
    return [(name.partition(":")[2], kind) for name, kind in rows]


def test_a_payment_is_authorised_once_then_captured_once(shop: Shop) -> None:
    body = request()
    made = shop.ask("payments", "POST", "/payments", 201, body)
    assert (made["status"], made["amount"], made["captured"], made["refunded"]) == (
        "AUTHORISED",
        "20.00",
        "0.00",
        "0.00",
    )
    assert shop.ask("payments", "POST", "/payments", 201, body) == made
    assert [charge["status"] for charge in at_provider(shop, body["order_id"])] == ["authorised"]
    taken = capture(shop, body["order_id"])
    assert (taken["status"], taken["captured"]) == ("CAPTURED", "20.00")
    assert capture(shop, body["order_id"]) == taken
    assert shop.ask("payments", "POST", "/payments", 201, body) == taken
    assert shop.ask("payments", "GET", f"/payments/{taken['id']}", 200) == taken
    [charge] = at_provider(shop, body["order_id"])
    assert (charge["id"], charge["status"]) == (taken["provider_reference"], "captured")
    shop.ask("payments", "POST", "/payments", 409, {**body, "amount": "21.00"})
    assert transfers(shop, body["order_id"]) == [("authorise", "pending"), ("capture", "post")]
    require_all_holds(shop)


def test_the_same_payment_and_capture_sent_at_once_happen_once(shop: Shop) -> None:
    body = request()
    with ThreadPoolExecutor(6) as pool:
        answers = list(pool.map(lambda _: shop.call("payments", "POST", "/payments", json=body), range(12)))
        path = f"/payments/{body['order_id']}/capture"
        captures = list(pool.map(lambda _: shop.call("payments", "POST", path), range(12)))
    assert {answer.status_code for answer in answers} == {201}
    assert {answer.status_code for answer in captures} == {200}
    assert len({answer.json()["id"] for answer in answers + captures}) == 1
    assert transfers(shop, body["order_id"]) == [("authorise", "pending"), ("capture", "post")]


def test_a_declined_payment_stays_declined(shop: Shop) -> None:
    body = request(token="tok_declined")
    for repeated in (body, {**body, "token": "tok_ok"}):
        refusal = shop.ask("payments", "POST", "/payments", 402, repeated)
        assert (refusal["type"], refusal["failure_code"]) == ("urn:millrace:problem:payment-declined", "card_declined")
    assert capture(shop, body["order_id"], 402)["type"] == "urn:millrace:problem:payment-declined"
    payment = shop.payment(body["order_id"])
    assert payment is not None
    assert payment["status"] == "DECLINED"
    shop.ask(
        "payments",
        "POST",
        f"/payments/{payment['id']}/refunds",
        409,
        {"amount": "1.00", "reason": "no"},
        idempotency_key=key(),
    )
    assert transfers(shop, body["order_id"]) == []


@pytest.mark.parametrize("token", ["tok_lost", "tok_error", "tok_capture_lost", "tok_capture_error"])
def test_an_answer_that_was_lost_is_asked_for_by_reference(shop: Shop, token: str) -> None:
    taken = paid(shop, "20.00", token)
    assert (taken["status"], taken["captured"]) == ("CAPTURED", "20.00")
    [charge] = at_provider(shop, taken["order_id"])
    assert (charge["id"], charge["status"]) == (taken["provider_reference"], "captured")


def test_an_authorisation_withdrawn_at_the_capture_closes_the_payment(shop: Shop) -> None:
    order_id = authorise(shop, "20.00", "tok_capture_declined")["order_id"]
    assert capture(shop, order_id, 409)["type"] == "urn:millrace:problem:payment-closed"
    payment = shop.payment(order_id)
    assert payment is not None
    assert (payment["status"], payment["failure_code"]) == ("VOIDED", "withdrawn")
    assert transfers(shop, order_id) == [("authorise", "pending"), ("void", "void")]


def test_there_is_nothing_to_capture_of_an_unknown_order(shop: Shop) -> None:
    before = shop.written()
    assert capture(shop, str(uuid4()), 404)["type"] == "urn:millrace:problem:not-found"
    assert shop.written() == before


def test_a_currency_without_accounts_is_refused(shop: Shop) -> None:
    before = shop.written()
    refusal = shop.ask("payments", "POST", "/payments", 422, request(currency="XTS"))
    assert refusal["type"] == "urn:millrace:problem:unknown-currency"
    assert shop.written() == before
    assert paid(shop, currency="USD")["currency"] == "USD"


def test_an_authorised_payment_is_voided_and_cannot_be_captured(shop: Shop) -> None:
    body = request()
    shop.ask("payments", "POST", "/payments", 201, body)
    void(shop, body["order_id"])
    void(shop, body["order_id"])
    for refusal in (shop.ask("payments", "POST", "/payments", 409, body), capture(shop, body["order_id"], 409)):
        assert refusal["type"] == "urn:millrace:problem:payment-closed"
    payment = shop.payment(body["order_id"])
    assert payment is not None
    assert (payment["status"], payment["captured"], payment["refunded"]) == ("VOIDED", "0.00", "0.00")
    assert [charge["status"] for charge in at_provider(shop, body["order_id"])] == ["voided"]
    assert transfers(shop, body["order_id"]) == [("authorise", "pending"), ("void", "void")]


def test_a_payment_that_comes_after_the_void_is_refused(shop: Shop) -> None:
    body = request()
    before = shop.written()
    void(shop, body["order_id"])
    void(shop, body["order_id"])
    for refusal in (shop.ask("payments", "POST", "/payments", 409, body), capture(shop, body["order_id"], 409)):
        assert refusal["type"] == "urn:millrace:problem:payment-closed"
    assert shop.written() == before
    assert at_provider(shop, body["order_id"]) == []


def test_refunds_never_exceed_the_payment(shop: Shop) -> None:
    taken = paid(shop, "20.00")
    path = f"/payments/{taken['id']}/refunds"
    made = shop.ask("payments", "POST", path, 201, {"amount": "15.00", "reason": "broken"}, idempotency_key=key())
    assert (made["amount"], made["reason"]) == ("15.00", "broken")
    before = shop.written()
    refusal = shop.ask("payments", "POST", path, 409, {"amount": "5.01", "reason": "greed"}, idempotency_key=key())
    assert refusal["type"] == "urn:millrace:problem:over-refund"
    assert shop.written() == before
    shop.ask("payments", "POST", path, 201, {"amount": "5.00", "reason": "broken"}, idempotency_key=key())
    now = shop.ask("payments", "GET", f"/payments/{taken['id']}", 200)
    assert (now["status"], now["refunded"]) == ("REFUNDED", "20.00")
    shop.ask("payments", "POST", path, 409, {"amount": "0.01", "reason": "greed"}, idempotency_key=key())


def test_refunds_made_at_once_keep_the_bound(shop: Shop) -> None:
    taken = paid(shop, "10.00")
    body = {"amount": "4.00", "reason": "broken"}
    with ThreadPoolExecutor(6) as pool:
        statuses = Counter(pool.map(lambda _: refund(shop, taken, body, key()).status_code, range(6)))
    assert set(statuses) <= {201, 409}
    [(refunded, noted)] = shop.sql(
        "payments",
        "SELECT refunded, (SELECT sum(amount) FROM refunds WHERE payment_id = payments.id) FROM payments WHERE id = %s",
        [taken["id"]],
    )
    assert refunded == noted == 4 * statuses[201]
    assert refunded <= 10


def test_a_refund_asked_again_with_its_key_is_one_refund(shop: Shop) -> None:
    taken, name = paid(shop, "20.00"), key()
    body = {"amount": "4.00", "reason": "broken"}
    with ThreadPoolExecutor(6) as pool:
        answers = list(pool.map(lambda _: refund(shop, taken, body, name), range(12)))
    made = [answer for answer in answers if answer.status_code == 201]
    assert {answer.status_code for answer in answers} <= {201, 409}
    assert made and len({answer.content for answer in made}) == 1
    assert refund(shop, taken, body, name).headers["idempotency-replayed"] == "true"
    assert refund(shop, taken, body | {"amount": "5.00"}, name).status_code == 422
    [charge] = at_provider(shop, taken["order_id"])
    assert [one["amount"] for one in charge["refunds"]] == ["4.00"]
    assert shop.ask("payments", "GET", f"/payments/{taken['id']}", 200)["refunded"] == "4.00"
    require_all_holds(shop)


@pytest.mark.parametrize("fault", ["lost", "unreached", "error"])
def test_a_refund_whose_answer_is_lost_is_made_once(shop: Shop, fault: str) -> None:
    taken, name = paid(shop, "20.00", f"tok_refund_{fault}"), key()
    body = {"amount": "4.00", "reason": "broken"}
    statuses = {refund(shop, taken, body, name).status_code for _ in range(3)}
    assert statuses <= {201, 503} and 201 in statuses
    [charge] = at_provider(shop, taken["order_id"])
    assert [one["amount"] for one in charge["refunds"]] == ["4.00"]
    assert shop.ask("payments", "GET", f"/payments/{taken['id']}", 200)["refunded"] == "4.00"


def test_a_key_left_behind_by_a_dead_process_is_taken_over(shop: Shop) -> None:
    taken, name = paid(shop, "20.00"), key()
    body = {"amount": "4.00", "reason": "broken"}
    made = refund(shop, taken, body, name)
    shop.sql("payments", "UPDATE service.idempotency SET status = NULL WHERE key = %s RETURNING key", [name])
    assert refund(shop, taken, body, name).json()["type"] == "urn:millrace:problem:request-in-flight"
    shop.sql(
        "payments",
        "UPDATE service.idempotency SET created_at = now() - interval '2 minutes' WHERE key = %s RETURNING key",
        [name],
    )
    again = refund(shop, taken, body, name)
    assert (again.status_code, again.json()) == (201, made.json())
    assert "idempotency-replayed" not in again.headers
    assert shop.ask("payments", "GET", f"/payments/{taken['id']}", 200)["refunded"] == "4.00"


@pytest.mark.parametrize("earlier_refund", [None, "5.00"])
def test_voiding_gives_back_what_is_left_and_can_be_repeated(shop: Shop, earlier_refund: str | None) -> None:
    taken = paid(shop, "20.00")
    if earlier_refund:
        partial = {"amount": earlier_refund, "reason": "broken"}
        shop.ask("payments", "POST", f"/payments/{taken['id']}/refunds", 201, partial, idempotency_key=key())
    void = {"order_id": taken["order_id"], "reason": "order failed"}
    with ThreadPoolExecutor(4) as pool:
        answers = pool.map(lambda _: shop.call("payments", "POST", "/payments/void", json=void).status_code, range(4))
        assert set(answers) == {204}
    payment = shop.payment(taken["order_id"])
    assert payment is not None
    assert (payment["status"], payment["refunded"]) == ("REFUNDED", "20.00")
    [(refunds,)] = shop.sql("payments", "SELECT count(*) FROM refunds WHERE payment_id = %s", [taken["id"]])
    assert refunds == (2 if earlier_refund else 1)
    require_all_holds(shop)


def test_voiding_where_nothing_was_taken_does_nothing(shop: Shop) -> None:
    declined = request(token="tok_declined")
    shop.ask("payments", "POST", "/payments", 402, declined)
    before = shop.written()
    for order_id in (declined["order_id"], str(uuid4())):
        void(shop, order_id)
    assert shop.written() == before


def test_a_payment_voided_while_it_was_open_is_refused_and_let_go(shop: Shop) -> None:
    body = request("20.00", "tok_lost")
    with ThreadPoolExecutor(1) as pool:
        paying = pool.submit(shop.call, "payments", "POST", "/payments", json=body)
        while not at_provider(shop, body["order_id"]):
            assert not paying.done(), "the provider was never asked"
        void(shop, body["order_id"])
        assert paying.result().status_code == 409
    payment = shop.payment(body["order_id"])
    assert payment is not None
    assert payment["status"] == "VOIDED"
    assert [charge["status"] for charge in at_provider(shop, body["order_id"])] == ["voided"]


def test_captures_and_voids_at_once_leave_no_money_taken(shop: Shop) -> None:
    made = authorise(shop)
    order_id = made["order_id"]
    closing = {"order_id": order_id, "reason": "gave up"}
    calls: list[tuple[str, dict[str, Any]]] = [
        (f"/payments/{order_id}/capture", {}),
        ("/payments/void", {"json": closing}),
    ]
    with ThreadPoolExecutor(20) as pool:
        answers = list(pool.map(lambda call: shop.call("payments", "POST", call[0], **call[1]), calls * 10))
    assert {answer.status_code for answer in answers[1::2]} == {204}
    assert {answer.status_code for answer in answers[::2]} <= {200, 409}
    payment = shop.payment(order_id)
    [charge] = at_provider(shop, order_id)
    assert payment is not None
    if charge["status"] == "voided":
        assert (payment["status"], payment["captured"]) == ("VOIDED", "0.00")
        assert transfers(shop, order_id) == [("authorise", "pending"), ("void", "void")]
    else:
        assert (payment["status"], payment["refunded"]) == ("REFUNDED", "20.00")
        assert [refund["amount"] for refund in charge["refunds"]] == ["20.00"]
        assert transfers(shop, order_id) == [("authorise", "pending"), ("capture", "post")]
    require_all_holds(shop)
