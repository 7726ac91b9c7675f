"""The judge of the orders' chaos: sums by plain SQL, the provider's own list and the mails that arrived.

It shares nothing with the invariants, which are asked beside it, nor with the services. Each check gives a line for each
thing that is wrong.
"""

import mailbox
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any

import httpx
import psycopg

from bench.chaos.orders_load import Shop, Told
from bench.chaos.orders_plan import CANCELLED, DECLINED

_ORDERS = """
SELECT id::text, user_id::text, status, total, EXISTS (
    SELECT FROM service.order_events WHERE stream_id = orders.id AND type LIKE 'OrderConfirmed%%')
FROM public.orders WHERE user_id = ANY(%s::uuid[])
"""
_SOLD = """
SELECT product_id::text, sum(quantity) FROM public.order_items JOIN public.orders ON orders.id = order_id
WHERE status = 'CONFIRMED' AND product_id = ANY(%s::uuid[]) GROUP BY 1
"""
_STOCK = """
SELECT product_id::text, available, reserved, sold,
    (SELECT sum(quantity) FROM public.stock_movements WHERE product_id = stock.product_id AND kind = 'received')
FROM public.stock WHERE product_id = ANY(%s::uuid[])
"""
_PAYMENTS = """
SELECT order_id::text, status, captured, refunded FROM public.payments WHERE order_id = ANY(%s::uuid[])
"""
_NOT_ENDED = """
SELECT workflow_uuid, status FROM dbos.workflow_status WHERE left(workflow_uuid, 36) = ANY(%s) AND status <> 'SUCCESS'
"""


@dataclass(frozen=True)
class Order:
    id: str
    user: str
    status: str
    total: Decimal
    was_confirmed: bool


def orders_of(dsn: str, shop: Shop) -> list[Order]:
    """All orders of the run's customers."""
    with psycopg.connect(dsn) as connection:
        return [Order(*row) for row in connection.execute(_ORDERS, [shop.users]).fetchall()]


def judge(env: Mapping[str, str], shop: Shop, told: list[Told]) -> dict[str, list[str]]:
    """What is wrong, by check; all services must have come to rest."""
    with (
        psycopg.connect(env["ORDERS_DSN"]) as orders_database,
        psycopg.connect(env["PAYMENTS_DSN"]) as payments_database,
        psycopg.connect(env["PRODUCTS_DSN"]) as products_database,
    ):
        orders = orders_of(env["ORDERS_DSN"], shop)
        ids = [order.id for order in orders]
        sold: dict[str, int] = dict(orders_database.execute(_SOLD, [shop.products]).fetchall())
        stock = products_database.execute(_STOCK, [shop.products]).fetchall()
        payments = payments_database.execute(_PAYMENTS, [ids]).fetchall()
        not_ended = orders_database.execute(_NOT_ENDED, [ids]).fetchall()
    return {
        "received_is_available_and_sold": list(goods(shop, stock, sold)),
        "an_order_is_paid_once_or_not_at_all": list(money(orders, payments)),
        "the_provider_kept_what_is_owed": list(provider_differs(env, orders)),
        "confirmed_orders_have_their_mail": list(_mails(Path(env["MILLRACE_HOME"]) / "mail", orders)),
        "every_saga_ended": [f"saga {saga} is {status}" for saga, status in not_ended],
        "customers_were_told_the_truth": list(truth(orders, told)),
    }


def goods(shop: Shop, stock: list[tuple[Any, ...]], sold: dict[str, int]) -> Iterator[str]:
    """Products whose (available, reserved, sold, received) are not what came in and what confirmed orders took."""
    if len(stock) != len(shop.products):
        yield f"{len(stock)} of {len(shop.products)} products have a stock"
    for product, available, reserved, gone, received in stock:
        expected = (shop.pieces[product] - sold.get(product, 0), 0, sold.get(product, 0), shop.pieces[product])
        if (available, reserved, gone, received) != expected:
            yield f"product {product} has {(available, reserved, gone, received)}, by its orders it is {expected}"


def money(orders: list[Order], payments: list[tuple[Any, ...]]) -> Iterator[str]:
    """Orders whose (order, status, captured, refunded) are not one whole capture, or nothing kept or promised."""
    of_order: dict[str, list[tuple[Any, ...]]] = {}
    for order_id, *payment in payments:
        of_order.setdefault(order_id, []).append(tuple(payment))
    for order in orders:
        found = of_order.get(order.id, [])
        if order.status == "CONFIRMED":
            if found != [("CAPTURED", order.total, Decimal(0))]:
                yield f"order {order.id} is CONFIRMED over {order.total}, its payments are {found}"
        elif any(status in ("PENDING", "AUTHORISED") or taken != back for status, taken, back in found):
            yield f"order {order.id} is {order.status}, its payments are {found}"


def provider_differs(env: Mapping[str, str], orders: list[Order]) -> Iterator[str]:
    """Orders for which the provider keeps another amount than the order owes, or reserves any."""
    with httpx.Client(base_url=env["PAYMENT_PROVIDER_URL"], timeout=30, trust_env=False) as http:
        for order in orders:
            answer = http.get("/charges", params={"reference": order.id}).raise_for_status()
            charges = answer.json()["items"]
            kept = [amount for charge in charges if (amount := _kept(charge))]
            owed = [order.total] if order.status == "CONFIRMED" else []
            if kept != owed or any(charge["status"] == "authorised" for charge in charges):
                yield f"order {order.id} is {order.status} over {order.total}, the provider has {charges}"


def _kept(charge: dict[str, Any]) -> Decimal:
    if charge["status"] != "captured":
        return Decimal(0)
    return Decimal(charge["amount"]) - sum((Decimal(refund["amount"]) for refund in charge["refunds"]), Decimal(0))


def _mails(folder: Path, orders: list[Order]) -> Iterator[str]:
    arrived = Counter(str(message["Message-ID"]).strip() for message in mailbox.Maildir(folder, create=False))
    for order in orders:
        mails = arrived[f"<{order.id}.confirmation@millrace.example>"]
        if order.was_confirmed and not mails:
            yield f"no mail confirms order {order.id}"
        if not order.was_confirmed and mails:
            yield f"a mail confirms order {order.id}, which never was"


def truth(orders: list[Order], told: list[Told]) -> Iterator[str]:
    """Customers whose order is not what they were told."""
    of_user: dict[str, list[Order]] = {}
    by_id = {order.id: order for order in orders}
    for order in orders:
        of_user.setdefault(order.user, []).append(order)
    for one in told:
        order_now = by_id.get(one.order_id or "")
        if one.order_id is None and of_user.get(one.user):
            yield f"user {one.user} was told {one.answer} and no order, but has one"
        if one.order_id is not None and (order_now is None or order_now.status != one.status):
            yield f"order {one.order_id} was told to be {one.status} and is {order_now}"
        if one.answer == httpx.codes.CREATED and one.wish.kind != CANCELLED and one.status != "CONFIRMED":
            yield f"order {one.order_id} was answered 201 and is {one.status}"
        if one.wish.kind == DECLINED and any(order.was_confirmed for order in of_user.get(one.user, [])):
            yield f"an order of user {one.user} was confirmed, whose card was declined"
