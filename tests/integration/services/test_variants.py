"""Variants: products that share a group, and that no two of differ by nothing."""

from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from uuid import uuid4

import pytest

from tests.integration.services.shop import Shop


@pytest.fixture
def group(shop: Shop) -> dict[str, Any]:
    """Varies by colour and size."""
    made: dict[str, Any] = shop.ask(
        "products", "POST", "/groups", 201, {"name": "Apron", "varies_by": ["colour", "size"]}
    )
    return made


def variant(shop: Shop, category: dict[str, Any], group: dict[str, Any], **attributes: Any) -> dict[str, Any]:
    return shop.product(category["id"], group_id=group["id"], attributes=attributes)


def body(category: dict[str, Any], group_id: str, **attributes: Any) -> dict[str, Any]:
    return {
        "sku": uuid4().hex,
        "name": "Apron",
        "brand": "Millrace",
        "category_id": category["id"],
        "group_id": group_id,
        "attributes": attributes,
        "price": {"amount": "9.00"},
    }


def test_a_group_lists_its_variants_and_how_they_differ(
    shop: Shop, category: dict[str, Any], group: dict[str, Any]
) -> None:
    red = variant(shop, category, group, colour="red", size=40, fabric="linen")
    blue = variant(shop, category, group, colour="blue", size=40)
    shown = shop.ask("products", "GET", f"/groups/{group['id']}", 200)
    assert [(v["product_id"], v["variant"], v["amount"], v["available"]) for v in shown["variants"]] == [
        (red["id"], {"colour": "red", "size": 40}, "12.50", 10),
        (blue["id"], {"colour": "blue", "size": 40}, "12.50", 10),
    ]
    assert {**shown, "variants": []} == {**group, "variants": []}
    assert red["group_id"] == shown["id"]


def test_two_variants_of_a_group_never_have_the_same_values(
    shop: Shop, category: dict[str, Any], group: dict[str, Any]
) -> None:
    variant(shop, category, group, colour="red", size=40)
    other = variant(shop, category, group, colour="red", size=41)
    before = shop.written()
    same = body(category, group["id"], size=40.0, colour="red", fabric="wool")
    refusal = shop.ask("products", "POST", "/products", 409, same)
    assert refusal["type"] == "urn:millrace:problem:duplicate-variant"
    attributes = {"attributes": {"colour": "red", "size": 40}}
    shop.ask("products", "PATCH", f"/products/{other['id']}", 409, attributes)
    assert shop.written() == before


def test_of_the_same_variant_made_at_once_one_is_made(
    shop: Shop, category: dict[str, Any], group: dict[str, Any]
) -> None:
    def make(_: int) -> int:
        wanted = body(category, group["id"], colour="red", size=40)
        return shop.call("products", "POST", "/products", json=wanted).status_code

    with ThreadPoolExecutor(8) as pool:
        assert Counter(pool.map(make, range(12))) == {201: 1, 409: 11}
    assert len(shop.ask("products", "GET", f"/groups/{group['id']}", 200)["variants"]) == 1


def test_a_variant_needs_the_values_by_which_its_group_varies(
    shop: Shop, category: dict[str, Any], group: dict[str, Any]
) -> None:
    before = shop.written()
    for attributes, field in (({"colour": "red"}, "size"), ({"colour": "x" * 101, "size": 40}, "colour")):
        refusal = shop.ask("products", "POST", "/products", 422, body(category, group["id"], **attributes))
        assert refusal["type"] == "urn:millrace:problem:invalid-attributes"
        assert [error["field"] for error in refusal["errors"]] == [f"body.attributes.{field}"]
    assert shop.written() == before


def test_a_product_joins_and_leaves_a_group(
    shop: Shop, category: dict[str, Any], group: dict[str, Any], product: dict[str, Any]
) -> None:
    path = f"/products/{product['id']}"
    shop.ask("products", "PATCH", path, 422, {"group_id": group["id"]})
    joined = {"group_id": group["id"], "attributes": {"colour": "red", "size": 40}}
    assert shop.ask("products", "PATCH", path, 200, joined)["group_id"] == group["id"]
    shop.ask("products", "PATCH", path, 422, {"attributes": {}})
    assert shop.ask("products", "PATCH", path, 200, {"group_id": None, "attributes": {}})["group_id"] is None
    assert shop.ask("products", "GET", f"/groups/{group['id']}", 200)["variants"] == []


def test_a_group_varies_by_other_attributes_when_its_products_do(
    shop: Shop, category: dict[str, Any], group: dict[str, Any]
) -> None:
    for size in (40, 41):
        variant(shop, category, group, colour="red", size=size, fabric="linen")
    path = f"/groups/{group['id']}"
    before = shop.written()
    alike = shop.ask("products", "PATCH", path, 409, {"varies_by": ["colour"]})
    lacking = shop.ask("products", "PATCH", path, 409, {"varies_by": ["size", "pattern"]})
    assert [problem["type"].rsplit(":", 1)[1] for problem in (alike, lacking)] == [
        "duplicate-variant",
        "missing-variant-attribute",
    ]
    assert shop.written() == before
    changed = shop.ask("products", "PATCH", path, 200, {"name": "Aprons", "varies_by": ["size", "fabric"]})
    assert (changed["name"], changed["varies_by"], changed["version"]) == ("Aprons", ["size", "fabric"], 2)
    shown = shop.ask("products", "GET", path, 200)["variants"]
    assert [v["variant"] for v in shown] == [{"size": 40, "fabric": "linen"}, {"size": 41, "fabric": "linen"}]


def test_a_group_has_at_most_200_variants(shop: Shop, category: dict[str, Any], group: dict[str, Any]) -> None:
    many = [body(category, group["id"], colour="red", size=number) for number in range(201)]
    before = shop.written()
    refusal = shop.ask("products", "POST", "/products:import", 409, {"products": many})
    assert refusal["type"] == "urn:millrace:problem:group-full"
    assert shop.written() == before
    shop.ask("products", "POST", "/products:import", 201, {"products": many[:200]})
    shop.ask("products", "POST", "/products", 409, many[200])


def test_products_and_their_group_changed_at_once_agree_in_the_end(
    shop: Shop, category: dict[str, Any], group: dict[str, Any]
) -> None:
    made = [variant(shop, category, group, colour="red", size=number, fabric=str(number)) for number in range(4)]
    orders = [["colour", "size"], ["size", "fabric"], ["fabric"]]

    def change(number: int) -> int:
        if number % 3 == 0:
            names = {"varies_by": orders[number // 3 % 3]}
            return shop.call("products", "PATCH", f"/groups/{group['id']}", json=names).status_code
        attributes = {"colour": "red", "size": number + 10, "fabric": f"f{number}"}
        path = f"/products/{made[number % 4]['id']}"
        return shop.call("products", "PATCH", path, json={"attributes": attributes}).status_code

    with ThreadPoolExecutor(8) as pool:
        assert set(pool.map(change, range(36))) == {200}
    shown = shop.ask("products", "GET", f"/groups/{group['id']}", 200)
    assert {tuple(sorted(v["variant"])) for v in shown["variants"]} == {tuple(sorted(shown["varies_by"]))}
