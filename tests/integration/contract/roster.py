"""Who calls in a run of schemathesis, and which things of the shop it may change: all made for it, nobody else's."""

import asyncio
import json
import secrets
import time
from pathlib import Path
from typing import Literal
from uuid import UUID, uuid4

from services.kit import redis
from services.kit.ids import uuid7
from services.kit.principal import Role
from services.sessions.keys import Keys
from services.sessions.repository import SessionRow, Store, hash_of
from tests.integration.services.people import PASSWORD
from tests.integration.services.shop import Shop

Caller = Literal["user", "nobody"]

# One principal may call 600 times a minute.
_CALLERS = 40
_SESSIONS = 120
_LIFETIME_S = 3600


def write(file: Path, shop: Shop, caller: Caller) -> None:
    """Make the things of a run and write down what `hooks` reads. A `user` holds every role, those of services too: no
    request ends at the door."""
    login = {"email": f"{uuid4().hex}@people.example", "password": PASSWORD}
    registered = shop.ask("users", "POST", "/users", 201, {**login, "full_name": "Ada Example", "country": "DE"})
    user = registered["id"]
    session = shop.ask("sessions", "POST", "/sessions", 201, login)["session"]
    keys = Keys(Path(shop.env["SESSIONS_KEYS_FILE"]))
    tokens = {
        subject: keys.sign(subject, "user", [role.value for role in Role], _LIFETIME_S)
        for subject in [user, *(str(uuid4()) for _ in range(_CALLERS))]
    }
    roster = {
        "caller": caller,
        "tokens": tokens if caller == "user" else {},
        "sessions": asyncio.run(_sessions(shop.env["REDIS_URL"])) if caller == "user" else [],
        "login": {**login, "session": session, "current_password": PASSWORD, "new_password": PASSWORD},
        "known": _known(shop, user),
        "doomed": _doomed(shop, user),
    }
    file.write_text(json.dumps(roster), encoding="utf-8")


def _known(shop: Shop, user: str) -> dict[str, str]:
    """Ids by the name of the parameter or member that takes them."""
    category = shop.category()["id"]
    group = shop.ask("products", "POST", "/groups", 201, {"name": "Knives", "varies_by": ["size"]})["id"]
    product = shop.product(category, stock=100_000, attributes={"size": 1})["id"]
    order = shop.order(user, {product: 1}).body["id"]
    payment = shop.payment(order)
    assert payment is not None
    return {
        "user_id": user,
        "address_id": _address(shop, user),
        "category_id": category,
        "group_id": group,
        "product_id": product,
        "id": product,
        "order_id": order,
        "saga_id": order,
        "payment_id": payment["id"],
        "query_id": str(uuid7()),
    }


def _doomed(shop: Shop, user: str) -> dict[str, list[dict[str, str]]]:
    """Ids for DELETE by its path, each good once."""
    category = shop.category()["id"]
    return {
        "/users/{user_id}": [{"user_id": shop.user()} for _ in range(3)],
        "/users/{user_id}/addresses/{address_id}": [{"address_id": _address(shop, user)} for _ in range(3)],
        "/products/{product_id}": [{"product_id": shop.product(category)["id"]} for _ in range(3)],
    }


def _address(shop: Shop, user: str) -> str:
    body = {"kind": "shipping", "line1": "1 Mill Lane", "postal_code": "1", "city": "Berlin", "country": "DE"}
    return str(shop.ask("users", "POST", f"/users/{user}/addresses", 201, body)["id"])


async def _sessions(redis_url: str) -> list[tuple[str, str]]:
    """Sessions of one person each, with their references: a run ends many of them."""
    now = time.time_ns() // 1_000_000
    made = []
    async with redis.connect(redis_url) as connection:
        store = Store(connection, _LIFETIME_S * 1000)
        for _ in range(_SESSIONS):
            session = f"ses_{secrets.token_urlsafe(32)}"
            ends = now + _LIFETIME_S * 1000
            reference = secrets.token_hex(8)
            await store.create(SessionRow(hash_of(session), str(uuid4()), reference, "test", 0, now, now, ends))
            made.append((session, reference))
    return made


def close(shop: Shop) -> None:
    """Void the payments and release the reservations of orders that nobody placed: a run makes some of each, and money or
    goods without an order are what the invariants look for."""
    taken = shop.sql(
        "payments",
        """SELECT order_id FROM payments
           WHERE status IN ('PENDING', 'AUTHORISED', 'CAPTURED') AND created_at > now() - interval '1 hour'""",
    )
    held = shop.sql(
        "products",
        """SELECT DISTINCT order_id FROM reservations
           WHERE state IN ('held', 'committed') AND created_at > now() - interval '1 hour'""",
    )
    placed = {
        order
        for (order,) in shop.sql("orders", "SELECT id FROM orders WHERE id = ANY(%s)", [[*map(_only, taken + held)]])
    }
    for order in {*map(_only, taken)} - placed:
        shop.ask("payments", "POST", "/payments/void", 204, {"order_id": str(order), "reason": "no order"})
    for order in {*map(_only, held)} - placed:
        shop.ask("products", "POST", f"/reservations/{order}/release", 204)


def _only(row: tuple[UUID, ...]) -> UUID:
    return row[0]
