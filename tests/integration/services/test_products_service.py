"""The catalogue over HTTP: products, prices, the category tree."""

from concurrent.futures import ThreadPoolExecutor
from typing import Any
from uuid import uuid4

from tests.integration.services.shop import Shop


def path_of(shop: Shop, category: dict[str, Any]) -> list[str]:
    [(path,)] = shop.sql("products", "SELECT path FROM categories WHERE id = %s", [category["id"]])
    return list(path)


def test_a_product_has_its_price_and_stock_from_the_start(shop: Shop, category: dict[str, Any]) -> None:
    attributes = {"colour": "blue", "pieces": 3, "weight": 1.5, "dishwasher": True}
    made = shop.product(category["id"], price="19.99", stock=7, attributes=attributes, description="Sharp ✓")
    assert made["price"] == {"amount": "19.99", "currency": "EUR", "compare_at": None}
    assert made["stock"] == {"available": 7, "reserved": 0, "sold": 0}
    assert (made["attributes"], made["description"], made["status"]) == (attributes, "Sharp ✓", "active")
    assert shop.ask("products", "GET", f"/products/{made['id']}", 200) == made


def test_a_product_is_changed_priced_stocked_and_deleted(shop: Shop, product: dict[str, Any]) -> None:
    path = f"/products/{product['id']}"
    changed = shop.ask("products", "PATCH", path, 200, {"name": "Cake knife", "status": "discontinued"})
    assert (changed["name"], changed["status"], changed["version"]) == ("Cake knife", "discontinued", 2)
    priced = shop.ask("products", "PUT", f"{path}/price", 200, {"amount": "9.90", "currency": "USD"})
    assert priced["price"] == {"amount": "9.90", "currency": "USD", "compare_at": None}
    assert shop.ask("products", "POST", f"{path}/stock", 200, {"delta": 5})["stock"]["available"] == 15
    shop.ask("products", "DELETE", path, 204)
    shop.ask("products", "DELETE", path, 404)
    counted = shop.sql(
        "products",
        """SELECT (SELECT count(*) FROM prices WHERE product_id = %s),
                  (SELECT count(*) FROM stock WHERE product_id = %s)""",
        [product["id"], product["id"]],
    )
    assert counted == [(0, 0)]


def test_a_sku_is_taken_once(shop: Shop, category: dict[str, Any], product: dict[str, Any]) -> None:
    before = shop.written()
    body = {"sku": product["sku"], "name": "A", "brand": "B", "category_id": category["id"], "price": {"amount": "1"}}
    shop.ask("products", "POST", "/products", 409, body)
    other = {**body, "sku": uuid4().hex}
    shop.ask("products", "POST", "/products:import", 409, {"products": [other, body]})
    assert shop.written() == before


def test_an_import_makes_all_products(shop: Shop) -> None:
    category = shop.category("Imported")
    body = {"name": "A", "brand": "B", "category_id": category["id"], "price": {"amount": "1.10"}, "stock": 2}
    products = [{**body, "sku": uuid4().hex} for _ in range(500)]
    assert shop.ask("products", "POST", "/products:import", 201, {"products": products}) == {"created": 500}
    counted = shop.sql(
        "products",
        """SELECT count(*), sum(amount), sum(available) FROM products JOIN prices ON prices.product_id = id
           JOIN stock ON stock.product_id = id WHERE category_id = %s""",
        [category["id"]],
    )
    assert [tuple(map(str, row)) for row in counted] == [("500", "550.00", "1000")]


def test_named_products_are_read_at_once(shop: Shop, category: dict[str, Any]) -> None:
    ids = [shop.product(category["id"])["id"] for _ in range(2)]
    page = shop.ask("products", "GET", f"/products?id={ids[1]}&id={ids[0]}&id={uuid4()}", 200)
    assert [item["id"] for item in page["items"]] == ids


def test_a_rename_and_a_move_rewrite_the_whole_subtree(shop: Shop) -> None:
    home = shop.category("Home")
    kitchen = shop.category("Kitchen", home["id"])
    knives = shop.category("Knives", kitchen["id"])
    assert knives["path"] == ["Home", "Kitchen", "Knives"]
    shop.ask("products", "PATCH", f"/categories/{home['id']}", 200, {"name": "House"})
    assert path_of(shop, knives) == ["House", "Kitchen", "Knives"]
    moved = shop.ask("products", "PATCH", f"/categories/{kitchen['id']}", 200, {"parent_id": None, "name": "Cooking"})
    assert moved["path"] == ["Cooking"]
    assert path_of(shop, knives) == ["Cooking", "Knives"]
    assert path_of(shop, home) == ["House"]


def test_a_ring_of_categories_is_refused(shop: Shop) -> None:
    home = shop.category("Home")
    kitchen = shop.category("Kitchen", home["id"])
    knives = shop.category("Knives", kitchen["id"])
    before = shop.written()
    for target in (home, kitchen, knives):
        shop.ask("products", "PATCH", f"/categories/{home['id']}", 422, {"parent_id": target["id"]})
    assert shop.written() == before


def test_crossing_moves_never_make_a_ring(shop: Shop) -> None:
    first, second = shop.category("First"), shop.category("Second")

    def move(pair: tuple[dict[str, Any], dict[str, Any]]) -> int:
        child, parent = pair
        response = shop.call("products", "PATCH", f"/categories/{child['id']}", json={"parent_id": parent["id"]})
        return response.status_code

    with ThreadPoolExecutor(2) as pool:
        statuses = sorted(pool.map(move, [(first, second), (second, first)]))
    assert statuses == [200, 422]
    assert sorted([len(path_of(shop, first)), len(path_of(shop, second))]) == [1, 2]


def test_products_named_by_id_come_without_a_cursor_and_a_foreign_position(shop: Shop, product: dict[str, Any]) -> None:
    path = f"/products?id={product['id']}"
    assert [item["id"] for item in shop.ask("products", "GET", path, 200)["items"]] == [product["id"]]
    for more in (f"&category_id={product['category_id']}", f"&cursor={'A' * 38}"):
        refused = shop.call("products", "GET", path + more)
        assert (refused.status_code, refused.json()["type"]) == (422, "urn:millrace:problem:rule-broken"), more
    refused = shop.call("products", "GET", path, headers={"X-Commit-LSN": "x"})
    assert (refused.status_code, refused.json()["type"]) == (400, "urn:millrace:problem:invalid-position")
