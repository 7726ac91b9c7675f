"""Idempotency-Key: one effect and one reply for each key, whatever happens at once or half-way."""

import asyncio
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, TypeVar
from uuid import uuid4

import httpx
import psycopg
import pytest

from services.kit import idempotency
from services.kit.db import Primary, Transaction
from services.kit.idempotency import InFlight, Key, KeyReused, Once, Reply, fingerprint
from services.kit.ids import uuid7
from tests.integration.services.shop import Shop

T = TypeVar("T")
Body = dict[str, Any]


@dataclass
class Found:
    email: str


@pytest.fixture
def body() -> Body:
    return {"email": f"{uuid4().hex}@example.org", "full_name": "Ada", "country": "DE"}


@pytest.fixture
def key() -> str:
    return str(uuid4())


def post(shop: Shop, body: Body, key: str, path: str = "/users") -> httpx.Response:
    return shop.call("users", "POST", path, json=body, headers={"Idempotency-Key": key})


def kind(response: httpx.Response) -> tuple[int, str]:
    return response.status_code, response.json()["type"].rpartition(":")[2]


def users(shop: Shop, body: Body) -> int:
    count: int = shop.sql("users", "SELECT count(*) FROM users WHERE email = %s", [body["email"]])[0][0]
    return count


def keys(shop: Shop, key: str) -> int:
    count: int = shop.sql("users", "SELECT count(*) FROM service.idempotency WHERE key = %s", [key])[0][0]
    return count


def test_a_repetition_gets_the_same_bytes_and_has_no_effect(shop: Shop, body: Body, key: str) -> None:
    first, again, quoted = (post(shop, body, name) for name in (key, key, f'"{key}"'))
    assert first.status_code == again.status_code == quoted.status_code == 201
    assert first.content == again.content == quoted.content
    assert first.headers["etag"] == again.headers["etag"] == '"1"'
    assert again.headers["content-type"] == first.headers["content-type"] == "application/json"
    assert "idempotency-replayed" not in first.headers
    assert again.headers["idempotency-replayed"] == "true"
    assert users(shop, body) == 1


def test_twenty_at_once_have_one_effect(shop: Shop, body: Body, key: str) -> None:
    with ThreadPoolExecutor(20) as pool:
        answers = list(pool.map(lambda _: post(shop, body, key), range(20)))
    assert users(shop, body) == 1
    done = [answer for answer in answers if answer.status_code == 201]
    assert len({answer.content for answer in done}) == 1
    assert sum("idempotency-replayed" not in answer.headers for answer in done) == 1
    busy = [answer for answer in answers if answer not in done]
    assert all(kind(answer) == (409, "request-in-flight") and answer.headers["retry-after"] for answer in busy)
    assert post(shop, body, key).content == done[0].content


def test_a_key_belongs_to_one_request(shop: Shop, body: Body, key: str, user: str) -> None:
    post(shop, body, key)
    assert kind(post(shop, {**body, "full_name": "Eve"}, key)) == (422, "idempotency-key-reused")
    address = {"kind": "billing", "line1": "1 Mill Lane", "postal_code": "1", "city": "Berlin", "country": "DE"}
    assert kind(post(shop, address, key, f"/users/{user}/addresses")) == (422, "idempotency-key-reused")
    assert shop.ask("users", "GET", f"/users/{user}/addresses", 200) == {"items": []}


def test_a_refusal_is_not_kept(shop: Shop, body: Body, key: str) -> None:
    other = post(shop, body, str(uuid4())).json()
    assert post(shop, body, key).status_code == 409
    assert keys(shop, key) == 0
    shop.ask("users", "DELETE", f"/users/{other['id']}", 204, if_match="*")
    assert post(shop, body, key).status_code == 201


def test_an_invalid_body_leaves_its_key_free(shop: Shop, body: Body, key: str) -> None:
    assert post(shop, {**body, "country": "Germany"}, key).status_code == 422
    assert post(shop, body, key).status_code == 201


def in_primary(shop: Shop, work: Callable[[Primary], Awaitable[T]]) -> T:
    async def run() -> T:
        async with Primary(shop.env["USERS_DSN"], "test") as primary:
            return await work(primary)

    return asyncio.run(run())


def request_of(key: str, principal: str = "ada", body: bytes = b"{}") -> Key:
    return Key(principal, key, fingerprint(b"secret", "POST", "/test?", body))


REPLY = Reply(201, b'{"id":1}', {"content-type": "application/json"})


def test_effect_and_key_are_committed_together_or_not_at_all(shop: Shop, body: Body, key: str) -> None:
    values = {"id": uuid7(), "marketing_consent": False, **body}

    async def insert(transaction: Transaction) -> Reply:
        await transaction.one(
            Found,
            """INSERT INTO users (id, email, full_name, country, marketing_consent) VALUES
               (%(id)s, %(email)s, %(full_name)s, %(country)s, %(marketing_consent)s) RETURNING email""",
            values,
        )
        return REPLY

    async def fail(transaction: Transaction) -> Reply:
        await insert(transaction)
        raise psycopg.OperationalError("the server went away")

    async def work(primary: Primary) -> None:
        with pytest.raises(psycopg.OperationalError):
            await Once(request_of(key), primary).run(fail)
        assert (users(shop, body), keys(shop, key)) == (0, 0)
        assert (await Once(request_of(key), primary).run(insert)).body == REPLY.body
        assert (users(shop, body), keys(shop, key)) == (1, 1)

    in_primary(shop, work)


def test_an_effect_of_two_phases_keeps_its_key_between_them(shop: Shop, key: str) -> None:
    async def claim(primary: Primary, wanted: Key) -> bytes | None:
        async with primary.transaction() as transaction:
            stored = await Once(wanted, primary).claim(transaction)
            return None if stored is None else bytes(stored.body)

    async def work(primary: Primary) -> None:
        wanted = request_of(key)
        assert await claim(primary, wanted) is None
        with pytest.raises(InFlight):
            await claim(primary, wanted)
        with pytest.raises(KeyReused):
            await claim(primary, request_of(key, body=b"[]"))
        assert await claim(primary, request_of(key, principal="eve")) is None
        await idempotency.forget(primary, wanted)
        assert await claim(primary, wanted) is None
        with pytest.raises(ValueError, match="503"):
            await idempotency.settle(primary, wanted, Reply(503, b"", {}))
        await idempotency.settle(primary, wanted, REPLY)
        await idempotency.settle(primary, wanted, Reply(402, b"too late", {}))
        await idempotency.forget(primary, wanted)
        assert await claim(primary, wanted) == REPLY.body

    in_primary(shop, work)


def test_a_claim_that_is_rolled_back_leaves_the_key_free(shop: Shop, key: str) -> None:
    async def half(primary: Primary) -> None:
        async with primary.transaction() as transaction:
            await Once(request_of(key), primary).claim(transaction)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        in_primary(shop, half)
    assert keys(shop, key) == 0


def test_a_second_caller_is_answered_while_the_first_holds_its_transaction(shop: Shop, key: str) -> None:
    async def work(primary: Primary) -> None:
        begun, finish = asyncio.Event(), asyncio.Event()

        async def slow(_: Transaction) -> Reply:
            begun.set()
            await finish.wait()
            return REPLY

        first = asyncio.create_task(Once(request_of(key), primary).run(slow))
        await begun.wait()
        with pytest.raises(InFlight):
            await Once(request_of(key), primary).run(slow)
        finish.set()
        assert (await first).body == REPLY.body

    in_primary(shop, work)


def test_the_sweep_forgets_old_keys_only(shop: Shop) -> None:
    old, young = f"old-{uuid4()}", f"young-{uuid4()}"

    async def work(primary: Primary) -> None:
        for name in (old, young):
            await idempotency.settle(primary, request_of(name), REPLY)
        await primary.one(
            Found,
            "UPDATE service.idempotency SET created_at = now() - interval '25 hours' WHERE key = %s RETURNING key AS email",
            [old],
        )
        assert await idempotency.sweep(primary) >= 1
        assert await idempotency.sweep(primary) == 0

    in_primary(shop, work)
    assert (keys(shop, old), keys(shop, young)) == (0, 1)
