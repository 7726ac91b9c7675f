"""The trace of an order, as a collector receives it from the processes that took part."""

import secrets
from typing import Any

from tests.integration.services.orders_process import orders_process
from tests.integration.services.service_process import free_port, service_process, wait_until
from tests.integration.services.shop import Shop, new_order
from tests.otlp_collector import Collector, Seen

ANSWERED = {
    ("orders", "POST /orders"),
    ("products", "POST /reservations"),
    ("payments", "POST /payments"),
    ("products", "POST /reservations/{order_id}/commit"),
    ("payments", "POST /payments/{order_id}/capture"),
}
"""What an order is in the services that are watched."""


def test_an_order_is_one_trace_through_all_services_and_a_restart_of_its_saga(
    shop: Shop, user: str, product: dict[str, Any]
) -> None:
    trace, caller = secrets.token_hex(16), secrets.token_hex(8)
    nobody = f"http://127.0.0.1:{free_port()}"
    with (
        Collector() as collector,
        service_process("products", shop.env, **collector.settings) as products,
        service_process("payments", shop.env, **collector.settings) as payments,
        orders_process(shop, PRODUCTS_URL=products.url, PAYMENTS_URL=nobody, **collector.settings) as orders,
    ):
        everyone = (products, payments, orders)
        patient = {"ORDERS_PATIENCE_S": "300", "ORDERS_ANSWER_S": "1"}
        for process in everyone:
            process.begin(**patient)
        for process in everyone:
            process.wait_until_answers("/readyz")

        body, headers = new_order(user, {product["id"]: 1}), {"traceparent": f"00-{trace}-{caller}-01"}
        answer = shop.call("orders", "POST", "/orders", url=orders.url, json=body, headers=headers)
        assert (answer.status_code, answer.json()["status"]) == (202, "PENDING")
        orders.end()
        orders.start(PAYMENTS_URL=payments.url, **patient)

        def ours() -> list[Seen]:
            return [span for span in list(collector.spans) if span.trace == trace]

        def missing() -> set[tuple[str, str]]:
            """Answers whose span, or whose caller's span, did not come yet: each process sends its own when it pleases."""
            known = {span.id for span in ours()} | {caller}
            return ANSWERED - {(span.service, span.name) for span in ours() if span.server and span.parent in known}

        wait_until(
            lambda: shop.ask("orders", "GET", f"/orders/{answer.json()['id']}", 200)["status"] == "CONFIRMED",
            seconds=60,
        )
        wait_until(lambda: not missing(), f"no spans came of {missing()}")
        spans = ours()
    by_id = {span.id: span for span in spans}
    parents = {(span.service, span.name): by_id.get(span.parent) for span in spans if span.server}
    [request] = [span for span in spans if (span.service, span.name) == ("orders", "POST /orders")]
    assert request.parent == caller
    for service, name in ANSWERED - {("orders", "POST /orders")}:
        call = parents[service, name]
        assert call is not None and (call.service, call.name) == ("orders", f"POST {service}")
        assert call.parent == request.id
