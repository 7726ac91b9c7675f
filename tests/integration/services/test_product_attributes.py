"""Typed attributes that categories demand, and the history of prices."""

import time
from typing import Any
from uuid import uuid4

import psycopg
import pytest

from tests.integration.services.shop import Shop

SCHEMA = {
    "colour": {"type": "choice", "required": True, "choices": ["red", "blue"]},
    "pieces": {"type": "number"},
    "dishwasher": {"type": "boolean"},
    "maker": {"type": "text"},
}


@pytest.fixture(scope="module")
def shelf(shop: Shop) -> dict[str, Any]:
    """A category that demands nothing itself, below one with SCHEMA."""
    above = {"name": "Kitchen", "slug": f"c-{uuid4().hex}", "attribute_schema": SCHEMA}
    parent = shop.ask("products", "POST", "/categories", 201, above)
    return shop.category("Knives", parent["id"])


def body(category: dict[str, Any], **attributes: Any) -> dict[str, Any]:
    return {
        "sku": uuid4().hex,
        "name": "Knife",
        "brand": "Millrace",
        "category_id": category["id"],
        "attributes": attributes,
        "price": {"amount": "9.00"},
    }


@pytest.mark.parametrize(
    ("attributes", "at_fault"),
    [
        ({}, ["colour"]),
        ({"colour": "green"}, ["colour"]),
        ({"colour": 1}, ["colour"]),
        ({"colour": "red", "pieces": "3"}, ["pieces"]),
        ({"colour": "red", "pieces": True}, ["pieces"]),
        ({"colour": "red", "dishwasher": 1}, ["dishwasher"]),
        ({"pieces": "3", "maker": 4}, ["colour", "maker", "pieces"]),
    ],
)
def test_attributes_that_break_what_the_category_demands_are_named(
    attributes: dict[str, Any], at_fault: list[str], shop: Shop, shelf: dict[str, Any]
) -> None:
    before = shop.written()
    refusal = shop.ask("products", "POST", "/products", 422, body(shelf, **attributes))
    assert refusal["type"] == "urn:millrace:problem:invalid-attributes"
    assert [error["field"] for error in refusal["errors"]] == [f"body.attributes.{name}" for name in at_fault]
    many = {"products": [body(shelf, colour="red"), body(shelf, **attributes)]}
    refusal = shop.ask("products", "POST", "/products:import", 422, many)
    assert refusal["errors"][0]["field"] == f"body.products.1.attributes.{at_fault[0]}"
    assert shop.written() == before


def test_a_product_is_held_to_its_category_when_it_is_written(shop: Shop, shelf: dict[str, Any]) -> None:
    made = shop.ask("products", "POST", "/products", 201, body(shelf, colour="red", pieces=1.5, free="anything"))
    path = f"/products/{made['id']}"
    shop.ask("products", "PATCH", path, 422, {"attributes": {"colour": "green"}})
    demanding = {"name": "Strict", "slug": f"c-{uuid4().hex}", "attribute_schema": {"free": {"type": "number"}}}
    strict = shop.ask("products", "POST", "/categories", 201, demanding)
    assert strict["attribute_schema"]["free"] == {"type": "number", "required": False, "choices": []}
    shop.ask("products", "PATCH", path, 422, {"category_id": strict["id"]})
    moved = shop.ask("products", "PATCH", path, 200, {"category_id": strict["id"], "attributes": {"free": 1}})
    assert (moved["category_id"], moved["attributes"]) == (strict["id"], {"free": 1})


def test_a_category_below_goes_before_its_parent_and_a_change_counts_from_then_on(
    shop: Shop, shelf: dict[str, Any]
) -> None:
    made = shop.ask("products", "POST", "/products", 201, body(shelf, colour="blue"))
    own = {"attribute_schema": {"colour": {"type": "text"}, "blade": {"type": "number", "required": True}}}
    shop.ask("products", "PATCH", f"/categories/{shelf['id']}", 200, own)
    shop.ask("products", "POST", "/products", 201, body(shelf, colour="any", blade=12))
    shop.ask("products", "POST", "/products", 422, body(shelf, colour="any"))
    shop.ask("products", "PATCH", f"/products/{made['id']}", 200, {"name": "Old knife"})
    shop.ask("products", "PATCH", f"/products/{made['id']}", 422, {"attributes": {"colour": "blue"}})
    shop.ask("products", "PATCH", f"/categories/{shelf['id']}", 200, {"attribute_schema": {}})


def test_every_price_is_kept_and_the_version_rises(shop: Shop, product: dict[str, Any]) -> None:
    path = f"/products/{product['id']}"
    sale = {"amount": "9.90", "compare_at": "12.50"}
    priced = shop.ask("products", "PUT", f"{path}/price", 200, sale)
    assert priced["price"] == {"amount": "9.90", "currency": "EUR", "compare_at": "12.50"}
    assert priced["version"] == 2
    assert shop.ask("products", "PUT", f"{path}/price", 200, sale)["version"] == 2
    assert shop.ask("products", "PUT", f"{path}/price", 200, {"amount": "8.00", "currency": "USD"})["version"] == 3
    changes = shop.sql(
        "products",
        """SELECT old_amount::text, new_amount::text, old_currency, new_currency, new_compare_at::text
           FROM price_changes WHERE product_id = %s ORDER BY id""",
        [product["id"]],
    )
    assert changes == [
        (None, "12.50", None, "EUR", None),
        ("12.50", "9.90", "EUR", "EUR", "12.50"),
        ("9.90", "8.00", "EUR", "USD", None),
    ]


def wait_for_the_replica(shop: Shop) -> None:
    """Return when the replica shows what was committed before."""
    [(position,)] = shop.sql("products", "SELECT pg_current_wal_insert_lsn()::text")
    deadline = time.monotonic() + 30
    with psycopg.connect(shop.env["PRODUCTS_REPLICA_DSN"], autocommit=True) as replica:
        query = "SELECT pg_last_wal_replay_lsn() >= %s::pg_lsn"
        while replica.execute(query, [position]).fetchone() != (True,):
            assert time.monotonic() < deadline, "the replica does not follow"
            time.sleep(0.02)  # polls the replica: it does not notify


def test_histories_are_read_page_by_page(shop: Shop, product: dict[str, Any]) -> None:
    path = f"/products/{product['id']}"
    for number in range(3):
        shop.ask("products", "PUT", f"{path}/price", 200, {"amount": f"{number}.00"})
        shop.ask("products", "POST", f"{path}/stock-corrections", 200, {"delta": -1, "reason": f"broken {number}"})
    wait_for_the_replica(shop)
    for route, member, expected in (
        ("price-changes", "new_amount", ["12.50", "0.00", "1.00", "2.00"]),
        ("stock-movements", "reason", [None, "broken 0", "broken 1", "broken 2"]),
    ):
        seen: list[Any] = []
        cursor: str | None = ""
        while cursor is not None:
            page = shop.ask("products", "GET", f"{path}/{route}?limit=3" + (f"&cursor={cursor}" if cursor else ""), 200)
            seen += [item[member] for item in page["items"]]
            cursor = page["next_cursor"]
        assert seen == expected
