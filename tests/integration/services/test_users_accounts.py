"""Accounts over HTTP: mailed codes, passwords, roles, and the erasure of a person."""

import asyncio
from collections.abc import Callable
from typing import Any
from uuid import uuid4

import httpx
import pytest

from services.users.grant import grant
from services.users.grant import main as command
from tests.integration.services.people import PASSWORD, Person, eventually, mailed_code
from tests.integration.services.shop import Shop

People = Callable[..., Person]
VERIFY, RESET = "Confirm your e-mail address", "Choose a new password"
ADDRESS = {"kind": "shipping", "line1": "1 Mill Lane", "postal_code": "10115", "city": "Berlin", "country": "DE"}


def test_who_registers_confirms_the_address_by_a_mailed_code_once(people: People, shop: Shop) -> None:
    person = people()
    path = f"/users/{person.id}"
    assert shop.ask("users", "GET", path, 200)["email_verified_at"] is None
    code = mailed_code(shop, person.email, VERIFY)
    shop.ask("users", "POST", "/email-verifications", 204, {"code": code})
    confirmed = shop.ask("users", "GET", path, 200)
    assert (confirmed["email_verified_at"] is not None, confirmed["version"]) == (True, 2)
    again = shop.ask("users", "POST", "/email-verifications", 409, {"code": code})
    assert again["type"] == "urn:millrace:problem:invalid-code"
    assert person.call("POST", f"{path}/email-verification", token=person.token()).status_code == 409


def test_another_address_has_to_be_confirmed_by_a_code_of_its_own(people: People, shop: Shop) -> None:
    person = people()
    former = mailed_code(shop, person.email, VERIFY)
    shop.ask("users", "POST", "/email-verifications", 204, {"code": former})
    moved = f"{uuid4().hex}@Moved.example"
    changed = person.call("PATCH", f"/users/{person.id}", token=person.token(), json={"email": moved})
    assert (changed.json()["email"], changed.json()["email_verified_at"]) == (moved, None)
    shop.ask("users", "POST", "/email-verifications", 409, {"code": former})
    shop.ask("users", "POST", "/email-verifications", 204, {"code": mailed_code(shop, moved, VERIFY)})


def test_a_code_is_asked_for_again(people: People, shop: Shop) -> None:
    person = people()
    mailed_code(shop, person.email, VERIFY)
    path = f"/users/{person.id}/email-verification"
    assert person.call("POST", path, token=person.token()).status_code == 202
    shop.ask("users", "POST", "/email-verifications", 204, {"code": mailed_code(shop, person.email, VERIFY, after=1)})


def test_a_changed_password_ends_all_sessions(people: People) -> None:
    person = people()
    session, token = person.session(), person.token()
    path, new = f"/users/{person.id}/password", "another long password"
    wrong = person.call("PUT", path, token=token, json={"current_password": "no", "new_password": new})
    assert (wrong.status_code, wrong.json()["type"]) == (403, "urn:millrace:problem:wrong-credentials")
    short = person.call("PUT", path, token=token, json={"current_password": PASSWORD, "new_password": "short"})
    assert short.status_code == 422
    body = {"current_password": PASSWORD, "new_password": new}
    assert person.call("PUT", path, token=token, json=body).status_code == 204
    assert person.exchange(session).status_code == 401
    assert person.log_in().status_code == 401
    assert Person(person.http, person.shop, person.id, person.email, new).log_in().status_code == 201


def test_a_forgotten_password_is_reset_by_a_mailed_code_once(people: People, shop: Shop) -> None:
    person = people()
    session, new = person.session(), "remembered this time"
    shop.ask("users", "POST", "/password-resets", 202, {"email": person.email.upper()})
    code = mailed_code(shop, person.email, RESET)
    shop.ask("users", "POST", "/password-resets:confirm", 422, {"code": code, "new_password": "short"})
    shop.ask("users", "POST", "/email-verifications", 409, {"code": code})
    shop.ask("users", "POST", "/password-resets:confirm", 204, {"code": code, "new_password": new})
    shop.ask("users", "POST", "/password-resets:confirm", 409, {"code": code, "new_password": new})
    assert person.exchange(session).status_code == 401
    assert Person(person.http, shop, person.id, person.email, new).log_in().status_code == 201


def test_nobody_is_flooded_with_mails(people: People, shop: Shop) -> None:
    known, unknown = people(), f"{uuid4().hex}@people.example"
    for email in (known.email, unknown):
        statuses = [shop.call("users", "POST", "/password-resets", json={"email": email}).status_code for _ in range(6)]
        assert statuses == [202] * 5 + [429]
    path, token = f"/users/{known.id}/email-verification", known.token()
    assert [known.call("POST", path, token=token).status_code for _ in range(6)] == [202] * 5 + [429]


def test_who_holds_a_token_does_not_guess_the_password(people: People) -> None:
    person = people()
    path, token = f"/users/{person.id}/password", person.token()
    guess = {"current_password": "a guess", "new_password": "another long password"}
    statuses = [person.call("PUT", path, token=token, json=guess).status_code for _ in range(11)]
    assert statuses == [403] * 10 + [429]


def test_a_reset_does_not_tell_who_is_known(shop: Shop) -> None:
    assert shop.ask("users", "POST", "/password-resets", 202, {"email": f"{uuid4().hex}@people.example"}) is None


@pytest.mark.parametrize("code", ["x", "a.b.c", "eyJhbGciOiJub25lIn0.e30."])
def test_an_invented_code_does_nothing(shop: Shop, code: str) -> None:
    shop.ask("users", "POST", "/email-verifications", 409, {"code": code})
    shop.ask("users", "POST", "/password-resets:confirm", 409, {"code": code, "new_password": PASSWORD})


def test_a_person_needs_a_password_and_an_operator_registers_others_without(people: People, shop: Shop) -> None:
    body = {"email": f"{uuid4().hex}@people.example", "full_name": "Eve", "country": "DE"}
    assert httpx.post(f"{shop.url('users')}/users", json=body).status_code == 401
    assert people().call("POST", "/users", token=people().token(), json=body).status_code == 403
    assert httpx.post(f"{shop.url('users')}/users", json=body | {"password": "short"}).status_code == 422
    made = shop.ask("users", "POST", "/users", 201, body)
    without = Person(httpx.Client(), shop, made["id"], made["email"], "")
    with without.http:
        assert without.log_in().status_code == 422


def test_the_hash_of_a_password_stands_in_no_captured_table(people: People, shop: Shop) -> None:
    person = people()
    [(hashed,)] = shop.sql("users", "SELECT password_hash FROM service.credentials WHERE user_id = %s", [person.id])
    assert hashed.startswith("$argon2id$v=19$m=19456,t=2,p=1$")
    captured = shop.sql("users", "SELECT column_name FROM information_schema.columns WHERE table_schema = 'public'")
    assert not [name for (name,) in captured if "password" in name or "hash" in name]


def test_an_email_is_kept_as_it_was_written(shop: Shop) -> None:
    email = f"Ada.{uuid4().hex}@People.Example"
    made = shop.ask("users", "POST", "/users", 201, {"email": email, "full_name": "Ada", "country": "DE"})
    assert made["email"] == email


def test_addresses_are_read_changed_and_deleted_by_their_owner(people: People) -> None:
    person, stranger = people(), people()
    token = person.token()
    path = f"/users/{person.id}/addresses"
    made = person.call("POST", path, token=token, json=ADDRESS | {"line2": "c/o Ada"}).json()
    one = f"{path}/{made['id']}"
    assert person.call("GET", one, token=token).json() == made
    changed = person.call("PATCH", one, token=token, json={"city": "Ulm", "line2": None}).json()
    assert changed == {**made, "city": "Ulm", "line2": None, "updated_at": changed["updated_at"]}
    assert person.call("PATCH", one, token=token, json={"city": None}).status_code == 422
    foreign = f"/users/{stranger.id}/addresses/{made['id']}"
    for method, body in (("GET", None), ("PATCH", {"city": "Ulm"}), ("DELETE", None)):
        assert stranger.call(method, one, token=stranger.token(), json=body).status_code == 403
        assert stranger.call(method, foreign, token=stranger.token(), json=body).status_code == 404
    assert person.call("DELETE", one, token=token).status_code == 204
    assert person.call("GET", one, token=token).status_code == 404


def test_roles_are_changed_by_admins_only_and_kept_on_record(people: People, shop: Shop) -> None:
    admin, person = people("customer", "admin"), people()
    path, session, before = f"/users/{person.id}/roles", person.session(), person.token()
    wanted = {"roles": ["support", "customer", "support"]}
    for token in (before, people("operator").token(), people("support").token()):
        assert person.call("PUT", path, token=token, json=wanted).status_code == 403
    by_admin = admin.token()
    assert admin.call("PUT", path, token=by_admin, json=wanted).json() == {"roles": ["customer", "support"]}
    assert admin.call("PUT", path, token=by_admin, json=wanted).status_code == 200
    assert admin.call("PUT", f"/users/{admin.id}/roles", token=by_admin, json=wanted).status_code == 409
    assert admin.call("PUT", path, token=by_admin, json={"roles": ["users:read"]}).status_code == 422
    assert admin.call("PUT", path, token=by_admin, json={"roles": []}).status_code == 422
    assert person.exchange(session).status_code == 401
    assert person.call("GET", "/users", token=person.token()).status_code == 200
    changes = admin.call("GET", f"/users/{person.id}/role-changes", token=by_admin).json()["items"]
    assert [(change["before"], change["after"], change["changed_by"]) for change in changes] == [
        (["customer"], ["customer", "support"], f"user {admin.id}")
    ]


def test_an_analyst_may_be_made_and_reads_no_user(people: People) -> None:
    analyst = people("analyst")
    assert analyst.call("GET", "/users", token=analyst.token()).status_code == 403


def test_roles_take_effect_although_sessions_was_not_told(people: People, shop: Shop) -> None:
    person = people("customer", "admin")
    session = person.session()
    assert asyncio.run(grant(shop.env["USERS_DSN"], person.email, ["customer"]))
    assert person.exchange(session).status_code == 401
    assert person.call("GET", "/users", token=person.token()).status_code == 403


def test_the_first_admin_is_made_by_the_command_line(
    people: People, shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    person = people()
    monkeypatch.setenv("USERS_DSN", shop.env["USERS_DSN"])
    assert command([person.email, "customer", "admin"]) == 0
    assert person.call("GET", f"/users/{person.id}/role-changes", token=person.token()).status_code == 200
    assert command([person.email, "emperor"]) == 2
    assert command([person.email]) == 2
    assert command([f"{uuid4().hex}@people.example", "admin"]) == 1


def test_an_operator_has_no_power_over_the_staff(people: People) -> None:
    operator, admin = people("operator"), people("admin")
    token = operator.token()
    takeover = {"email": f"{uuid4().hex}@people.example"}
    assert operator.call("PATCH", f"/users/{admin.id}", token=token, json=takeover).status_code == 403
    assert operator.call("DELETE", f"/users/{admin.id}", token=token).status_code == 403
    assert admin.call("PATCH", f"/users/{operator.id}", token=admin.token(), json=takeover).status_code == 200


def test_an_erased_person_is_gone_but_orders_keep_the_id(people: People, shop: Shop, product: dict[str, Any]) -> None:
    person = people("customer", "support")
    session, token = person.session(), person.token()
    assert person.call("POST", f"/users/{person.id}/addresses", token=token, json=ADDRESS).status_code == 201
    order = shop.order(person.id, {product["id"]: 1}).body
    assert person.call("DELETE", f"/users/{person.id}", token=token).status_code == 204
    assert person.exchange(session).status_code == 401
    assert person.log_in().status_code == 401
    shop.ask("users", "GET", f"/users/{person.id}", 404)
    shop.ask("users", "DELETE", f"/users/{person.id}", 404)
    shop.ask("users", "PATCH", f"/users/{person.id}", 404, {"full_name": "Back"}, if_match="*")
    shop.ask("users", "POST", f"/users/{person.id}/addresses", 404, ADDRESS)
    assert shop.order(person.id, {product["id"]: 1}).body["type"] == "urn:millrace:problem:unknown-user"
    assert shop.ask("orders", "GET", f"/orders/{order['id']}", 200)["user_id"] == person.id
    [kept] = shop.sql(
        "users",
        "SELECT email, full_name, country, marketing_consent, erased_at IS NOT NULL FROM users WHERE id = %s",
        [person.id],
    )
    assert kept == (f"erased-{person.id}@erased.invalid", "erased", "ZZ", False, True)
    for table in ("addresses", "service.credentials", "service.outgoing_mails"):
        [(left,)] = shop.sql("users", f"SELECT count(*) FROM {table} WHERE user_id = %s", [person.id])
        assert left == 0, table
    again = {"email": person.email, "full_name": "Zuleika", "country": "DE"}
    assert shop.ask("users", "POST", "/users", 201, again)["id"] != person.id


def test_the_record_of_roles_cannot_be_changed(people: People, shop: Shop) -> None:
    person = people("support")
    for statement in ("UPDATE service.role_changes SET changed_by = ''", "DELETE FROM service.role_changes"):
        with pytest.raises(Exception, match="role_changes is append-only"):
            shop.sql("users", statement)
    [(recorded,)] = shop.sql("users", "SELECT count(*) FROM service.role_changes WHERE user_id = %s", [person.id])
    assert recorded == 1


@pytest.mark.parametrize("local", ["a,b", 'quo"te', "two@signs", "<angle>", "zo\u00eb", "\u0001control"])
def test_a_mail_that_cannot_be_sent_keeps_back_no_other(people: People, shop: Shop, local: str) -> None:
    body = {"email": f"{uuid4().hex}{local}@people.example", "full_name": "Odd", "country": "DE", "password": PASSWORD}
    assert shop.call("users", "POST", "/users", json=body).status_code in (201, 422)
    assert mailed_code(shop, people().email, VERIFY)


def test_no_mail_is_left_when_all_were_taken(people: People, shop: Shop) -> None:
    person = people()
    query = "SELECT FROM service.outgoing_mails WHERE user_id = %s"
    eventually(lambda: None if shop.sql("users", query, [person.id]) else True)
    assert mailed_code(shop, person.email, VERIFY)
