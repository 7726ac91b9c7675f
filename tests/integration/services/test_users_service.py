"""Users over HTTP."""

from uuid import uuid4

from services.kit.ids import uuid7
from tests.integration.services.shop import Shop


def test_a_user_is_registered_read_changed_and_deleted(shop: Shop) -> None:
    email = f"{uuid4().hex}@example.org"
    made = shop.ask("users", "POST", "/users", 201, {"email": email, "full_name": "Ada", "country": "DE"})
    assert shop.ask("users", "GET", f"/users/{made['id']}", 200) == made
    assert (made["marketing_consent"], made["version"]) == (False, 1)
    change = {"full_name": "Ada L.", "marketing_consent": True}
    changed = shop.ask("users", "PATCH", f"/users/{made['id']}", 200, change, if_match='"1"')
    assert changed == {**made, **change, "version": 2, "updated_at": changed["updated_at"]}
    assert changed["updated_at"] > made["updated_at"]
    shop.ask("users", "DELETE", f"/users/{made['id']}", 204, if_match='"2"')
    shop.ask("users", "GET", f"/users/{made['id']}", 404)


def test_an_email_is_taken_in_any_case(shop: Shop, user: str) -> None:
    email = shop.ask("users", "GET", f"/users/{user}", 200)["email"]
    body = {"email": email.upper(), "full_name": "Eve", "country": "FR"}
    shop.ask("users", "POST", "/users", 409, body)
    shop.ask("users", "PATCH", f"/users/{shop.user()}", 409, {"email": email.upper()}, if_match="*")


def test_addresses_belong_to_a_user_and_go_with_it(shop: Shop, user: str) -> None:
    body = {"kind": "shipping", "line1": "1 Mill Lane", "postal_code": "10115", "city": "Berlin", "country": "DE"}
    made = shop.ask("users", "POST", f"/users/{user}/addresses", 201, body)
    assert shop.ask("users", "GET", f"/users/{user}/addresses", 200) == {"items": [made]}
    shop.ask("users", "DELETE", f"/users/{user}", 204, if_match="*")
    assert shop.sql("users", "SELECT count(*) FROM addresses WHERE id = %s", [made["id"]]) == [(0,)]
    shop.ask("users", "POST", f"/users/{user}/addresses", 404, body)
    shop.ask("users", "GET", f"/users/{uuid7()}/addresses", 404)


def test_the_list_leads_through_all_users_once(shop: Shop) -> None:
    made = [shop.user() for _ in range(3)]
    seen: list[str] = []
    path = "/users?limit=2"
    while path:
        page = shop.ask("users", "GET", path, 200)
        assert len(page["items"]) <= 2
        seen += [item["id"] for item in page["items"]]
        path = f"/users?limit=2&cursor={page['next_cursor']}" if page["next_cursor"] else ""
    assert seen == sorted(set(seen))
    # A replica may still be without the newest ones, but never with a hole.
    assert [user for user in made if user in seen] == made[: len([user for user in made if user in seen])]
