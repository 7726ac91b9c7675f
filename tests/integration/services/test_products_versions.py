"""Who changes the catalogue has seen its newest version, and a write that is sent twice is made once."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from uuid import uuid4

import httpx
import pytest

from services.kit.token_source import TokenSource
from tests.integration.services.shop import Shop

PRICE = {"amount": "7.00"}
NAME = {"name": "Renamed"}


@pytest.fixture(scope="module")
def plain(shop: Shop) -> Iterator[httpx.Client]:
    """The merchant, whose client adds no header by itself."""
    auth = TokenSource(shop.env["SESSIONS_URL"], "demo", shop.env["DEMO_CLIENT_SECRET"])
    with httpx.Client(base_url=shop.url("products"), timeout=30, trust_env=False, auth=auth) as http:
        yield http


@pytest.fixture
def group(shop: Shop) -> dict[str, Any]:
    made: dict[str, Any] = shop.ask("products", "POST", "/groups", 201, {"name": "Apron", "varies_by": ["size"]})
    return made


def kind(response: httpx.Response) -> tuple[int, str]:
    return response.status_code, response.json()["type"].rpartition(":")[2]


def test_every_change_wants_the_version_that_was_seen(
    shop: Shop, plain: httpx.Client, group: dict[str, Any], product: dict[str, Any]
) -> None:
    category = shop.category()
    before = shop.written()
    for method, path, body in (
        ("PATCH", f"/products/{product['id']}", NAME),
        ("PUT", f"/products/{product['id']}/price", PRICE),
        ("DELETE", f"/products/{product['id']}", None),
        ("PATCH", f"/categories/{category['id']}", NAME),
        ("PATCH", f"/groups/{group['id']}", NAME),
    ):
        assert kind(plain.request(method, path, json=body)) == (428, "precondition-required")
        for tag in ('"2"', 'W/"1"', '"2-00aa"', '"0"', '"x"'):
            refused = plain.request(method, path, json=body, headers={"If-Match": tag})
            assert kind(refused) == (412, "precondition-failed"), (path, tag)
        unknown = path.replace(path.split("/")[2], str(uuid4()))
        assert kind(plain.request(method, unknown, json=body, headers={"If-Match": '"1"'})) == (404, "not-found")
    assert shop.written() == before


def test_the_tag_that_was_read_opens_the_next_change(plain: httpx.Client, product: dict[str, Any]) -> None:
    path = f"/products/{product['id']}"
    seen = plain.get(path, headers={"Cache-Control": "no-cache"}).headers["etag"]
    assert seen.startswith('"1-')
    named = plain.patch(path, json=NAME, headers={"If-Match": seen})
    assert (named.status_code, named.json()["version"]) == (200, 2)
    assert kind(plain.patch(path, json=NAME, headers={"If-Match": seen})) == (412, "precondition-failed")
    priced = plain.put(f"{path}/price", json=PRICE, headers={"If-Match": named.headers["etag"]})
    assert (priced.status_code, priced.json()["version"]) == (200, 3)
    read = plain.get(path, headers={"Cache-Control": "no-cache"})
    assert read.headers["etag"] == priced.headers["etag"]
    assert kind(plain.delete(path, headers={"If-Match": named.headers["etag"]})) == (412, "precondition-failed")
    stocked = plain.post(f"{path}/stock", json={"delta": 1}, headers={"Idempotency-Key": uuid4().hex})
    assert stocked.headers["etag"] != read.headers["etag"]
    assert plain.delete(path, headers={"If-Match": read.headers["etag"]}).status_code == 204  # stock is no change of it


def test_of_changes_made_at_once_one_is_made(shop: Shop, plain: httpx.Client, product: dict[str, Any]) -> None:
    def change(number: int) -> int:
        headers, path = {"If-Match": '"1"'}, f"/products/{product['id']}"
        if number % 2:
            return plain.patch(path, json=NAME, headers=headers).status_code
        return plain.put(f"{path}/price", json={"amount": f"{number}.00"}, headers=headers).status_code

    with ThreadPoolExecutor(8) as pool:
        assert sorted(pool.map(change, range(1, 13))) == [200] + [412] * 11
    assert shop.ask("products", "GET", f"/products/{product['id']}", 200)["version"] == 2


def test_a_category_has_a_tag_that_changes_with_its_path(shop: Shop, plain: httpx.Client) -> None:
    home = shop.category("Home")
    kitchen = shop.category("Kitchen", home["id"])
    path = f"/categories/{kitchen['id']}"
    first = plain.get(path)
    assert (first.json(), first.headers["etag"]) == (kitchen, '"1"')
    assert plain.get(path, headers={"If-None-Match": '"1"'}).status_code == 304
    renamed = plain.patch(f"/categories/{home['id']}", json={"name": "House"}, headers={"If-Match": '"1"'})
    assert (renamed.status_code, renamed.headers["etag"]) == (200, '"2"')
    second = plain.get(path, headers={"If-None-Match": '"1"'})
    assert (second.json()["path"], second.headers["etag"]) == (["House", "Kitchen"], '"2"')
    assert kind(plain.get(f"/categories/{uuid4()}")) == (404, "not-found")


def test_a_group_has_a_tag_that_changes_with_its_variants(
    shop: Shop, plain: httpx.Client, category: dict[str, Any], group: dict[str, Any]
) -> None:
    path = f"/groups/{group['id']}"
    empty = plain.get(path).headers["etag"]
    assert plain.get(path, headers={"If-None-Match": empty}).status_code == 304
    shop.product(category["id"], group_id=group["id"], attributes={"size": 40})
    full = plain.get(path, headers={"If-None-Match": empty})
    assert (full.status_code, len(full.json()["variants"])) == (200, 1)
    renamed = plain.patch(path, json=NAME, headers={"If-Match": full.headers["etag"]})
    assert (renamed.status_code, renamed.headers["etag"]) == (200, '"2"')


def repeated(plain: httpx.Client, path: str, body: dict[str, Any], faulty: dict[str, Any]) -> httpx.Response:
    """The answer to a request that is sent three times under one key, the last time with another body."""
    headers = {"Idempotency-Key": uuid4().hex}
    first, again = (plain.post(path, json=body, headers=headers) for _ in range(2))
    assert first.is_success and first.content == again.content, first.text
    assert first.headers.get("etag") == again.headers.get("etag")
    assert again.headers["idempotency-replayed"] == "true"
    assert kind(plain.post(path, json=faulty, headers=headers)) == (422, "idempotency-key-reused")
    return first


def test_what_is_made_under_a_key_is_made_once(shop: Shop, plain: httpx.Client, category: dict[str, Any]) -> None:
    tag = uuid4().hex
    new = {"sku": tag, "name": "Fork", "brand": "M", "category_id": category["id"], "price": PRICE, "stock": 3}
    many = {"products": [new | {"sku": f"{tag}-{number}"} for number in range(2)]}
    made = repeated(plain, "/products", new, new | NAME)
    assert made.json() == shop.ask("products", "GET", f"/products/{made.json()['id']}", 200)
    assert repeated(plain, "/products:import", many, {"products": [new]}).json() == {"created": 2}
    assert repeated(plain, "/categories", {"name": "C", "slug": f"c-{tag}"}, {"name": "D", "slug": tag}).is_success
    one = {"name": tag, "varies_by": ["size"]}
    assert repeated(plain, "/groups", one, one | NAME).is_success
    counted = shop.sql(
        "products",
        """SELECT (SELECT count(*) FROM products WHERE sku LIKE %s), (SELECT count(*) FROM product_groups WHERE name = %s),
                  (SELECT count(*) FROM categories WHERE slug LIKE %s)""",
        [f"{tag}%", tag, f"%{tag}"],
    )
    assert counted == [(3, 1, 1)]


def test_goods_and_corrections_under_a_key_count_once(shop: Shop, plain: httpx.Client, product: dict[str, Any]) -> None:
    path = f"/products/{product['id']}"
    answer = repeated(plain, f"{path}/stock", {"delta": 5}, {"delta": 6})
    assert answer.json()["stock"]["available"] == 15
    lost = {"delta": -2, "reason": "broken"}
    assert repeated(plain, f"{path}/stock-corrections", lost, lost | {"delta": -3}).json()["stock"]["available"] == 13
    assert shop.stock(product["id"]) == (13, 0, 0)
    key = {"Idempotency-Key": uuid4().hex}
    assert kind(plain.post(f"{path}/stock-corrections", json=lost | {"delta": -99}, headers=key)) == (
        409,
        "correction-refused",
    )
    assert plain.post(f"{path}/stock-corrections", json=lost | {"delta": -99}, headers=key).status_code == 409
    assert (
        plain.post(f"{path}/stock-corrections", json=lost, headers=key).status_code == 200
    )  # nothing came of it before


def test_goods_sent_many_times_at_once_arrive_once(shop: Shop, plain: httpx.Client, product: dict[str, Any]) -> None:
    key = {"Idempotency-Key": uuid4().hex}

    def receive(_: int) -> int:
        return plain.post(f"/products/{product['id']}/stock", json={"delta": 5}, headers=key).status_code

    with ThreadPoolExecutor(8) as pool:
        assert set(pool.map(receive, range(16))) <= {200, 409}
    assert shop.stock(product["id"]) == (15, 0, 0)
