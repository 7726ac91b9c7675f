"""Reconciliation as it runs: within the service's process, and by hand."""

from collections.abc import Iterator
from uuid import uuid4

import httpx
import pytest

from services.payments.reconcile import main
from tests.integration.services.service_process import free_port, service_process, wait_until
from tests.integration.services.shop import Shop


@pytest.fixture
def quick_payments(shop: Shop) -> Iterator[str]:
    """Address of a payments process beside the stack's, which waits less for the provider and reconciles all the time."""
    quick = {"PAYMENT_PROVIDER_TIMEOUT_S": "0.3", "PAYMENTS_RECONCILE_EVERY_S": "0.2"}
    with service_process("payments", shop.env, **quick) as process:
        process.start()
        yield process.url


def test_a_late_success_of_a_voided_payment_is_let_go_by_the_job(shop: Shop, quick_payments: str) -> None:
    order_id = str(uuid4())
    body = {"order_id": order_id, "amount": "9.00", "currency": "EUR", "method": "card", "token": "tok_late"}

    def charges() -> list[str]:
        listed = shop.ask("payment_provider", "GET", f"/charges?reference={order_id}", 200)["items"]
        return [charge["status"] for charge in listed]

    shop.ask("payment_provider", "PUT", "/faults", 200, {"late_s": 3})
    try:
        answer = httpx.post(f"{quick_payments}/payments", json=body, trust_env=False, timeout=20, auth=shop.as_orders)
        assert (answer.status_code, answer.json()["type"]) == (503, "urn:millrace:problem:payment-provider-unavailable")
        shop.ask("payments", "POST", "/payments/void", 204, {"order_id": order_id, "reason": "gave up"})
        assert charges() == [], "nothing is to be seen of it yet"
        wait_until(lambda: charges() == ["voided"], "the late success was not let go")
    finally:
        shop.ask("payment_provider", "PUT", "/faults", 200, {})
    payment = shop.payment(order_id)
    assert payment is not None
    assert (payment["status"], payment["captured"]) == ("VOIDED", "0.00")


def test_by_hand_it_compares_lists_and_refuses_nonsense(
    shop: Shop, payments_dsn: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PAYMENTS_DSN", payments_dsn)
    monkeypatch.setenv("PAYMENT_PROVIDER_URL", shop.url("payment_provider"))
    assert main(["--since", "2999-01-01T00:00+00:00"]) == 0
    assert capsys.readouterr().out == "0 compared, 0 noted, 0 undone (0 given back), 0 could not be compared\n"
    assert main(["--findings"]) == 0
    assert main(["--resolve", str(uuid4()), "done"]) == 1
    assert capsys.readouterr().err.count("\n") == 1
    for words in (["--since", "2999-01-01"], ["--since", "soon"], ["--resolve", "x", "y"], ["--what"]):
        with pytest.raises(SystemExit, match="2"):
            main(words)
    monkeypatch.setenv("PAYMENT_PROVIDER_URL", f"http://127.0.0.1:{free_port()}")
    capsys.readouterr()
    assert main([]) == 1
    assert capsys.readouterr().err == "the payment provider did not answer; try again\n"
    monkeypatch.delenv("PAYMENTS_DSN")
    with pytest.raises(SystemExit, match="2"):
        main([])
