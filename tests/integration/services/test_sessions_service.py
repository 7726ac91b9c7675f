"""Sessions over HTTP: logging in and out, one's own list, tokens, and limits of guessing."""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import jwt
import pytest
import redis

from services.sessions.keys import Keys
from tests.integration.services.people import PASSWORD, Person
from tests.integration.services.service_process import service_process
from tests.integration.services.shop import Shop

People = Callable[..., Person]


@pytest.fixture
def store(shop: Shop) -> Iterator["redis.Redis"]:
    with redis.Redis.from_url(shop.env["REDIS_URL"], decode_responses=True) as client:
        yield client


def sessions_of(person: Person, session: str) -> list[dict[str, Any]]:
    answer = person.call("GET", "/sessions", token=session, service="sessions")
    assert answer.status_code == 200, answer.text
    items: list[dict[str, Any]] = answer.json()["items"]
    return items


def test_who_logs_in_gets_a_cookie_that_scripts_and_other_sites_never_see(people: People) -> None:
    person = people()
    answer = person.log_in()
    assert answer.status_code == 201
    made = answer.json()
    cookie = answer.headers["set-cookie"]
    assert cookie.startswith(f"session={made['session']};")
    assert "HttpOnly" in cookie and "SameSite=strict" in cookie and "Path=/" in cookie
    assert (made["user_id"], answer.headers["cache-control"]) == (person.id, "no-store")
    assert len(made["session"]) >= 43  # 256 bits


def test_redis_holds_no_id_of_a_session(people: People, store: "redis.Redis") -> None:
    session = people().session()
    for key in store.scan_iter(count=1000):
        value = store.hgetall(key) if store.type(key) == "hash" else {}
        assert session not in key and session not in value.values()


def test_a_session_is_used_by_cookie_or_as_a_bearer_token(people: People, shop: Shop) -> None:
    person = people()
    session = person.session()
    url = f"{shop.url('sessions')}/sessions"
    by_cookie = person.http.get(url, headers={"cookie": f"session={session}"})
    assert by_cookie.status_code == 200
    assert [item["current"] for item in by_cookie.json()["items"]] == [True]
    assert sessions_of(person, session)[0]["reference"] == by_cookie.json()["items"][0]["reference"]
    for headers in ({}, {"cookie": "session=ses_none"}, {"authorization": "Bearer ses_none"}):
        assert person.http.get(url, headers=headers).status_code == 401


def test_logging_in_again_ends_the_session_one_came_with(people: People) -> None:
    person = people()
    planted, elsewhere = person.session(), person.session()
    again = person.log_in(headers={"cookie": f"session={planted}"}).json()["session"]
    assert again not in (planted, elsewhere)
    assert person.exchange(planted).status_code == 401
    assert person.exchange(elsewhere).status_code == 200
    assert len(sessions_of(person, again)) == 2


def test_the_list_names_devices_and_ends_them(people: People) -> None:
    person = people()
    laptop = person.log_in(headers={"user-agent": "Laptop"}).json()
    phone = person.log_in(headers={"user-agent": "Phone"}).json()
    listed = sessions_of(person, laptop["session"])
    assert [(item["device"], item["current"]) for item in listed] == [("Laptop", True), ("Phone", False)]
    assert laptop["session"] not in str(listed)
    path = f"/sessions/{phone['reference']}"
    assert people().call("DELETE", path, token=person.session(), service="sessions").status_code == 204
    assert person.exchange(phone["session"]).status_code == 401
    assert person.call("DELETE", path, token=laptop["session"], service="sessions").status_code == 404


def test_nobody_ends_a_strangers_session(people: People) -> None:
    victim, stranger = people(), people()
    made = victim.log_in().json()
    path = f"/sessions/{made['reference']}"
    assert stranger.call("DELETE", path, token=stranger.session(), service="sessions").status_code == 404
    assert victim.exchange(made["session"]).status_code == 200


def test_logging_out_ends_this_session_or_all(people: People) -> None:
    person = people()
    first, second, third = (person.session() for _ in range(3))
    assert person.call("DELETE", "/sessions/current", token=first, service="sessions").status_code == 204
    assert [person.exchange(session).status_code for session in (first, second)] == [401, 200]
    assert person.call("DELETE", "/sessions", token=second, service="sessions").status_code == 204
    assert {person.exchange(session).status_code for session in (second, third)} == {401}


def test_a_token_says_who_and_what_and_nothing_personal(people: People, shop: Shop) -> None:
    person = people("customer", "support")
    token = person.token()
    claims = jwt.decode(token, options={"verify_signature": False})
    assert (claims["sub"], claims["kind"], claims["roles"]) == (person.id, "user", ["customer", "support"])
    assert claims["exp"] - claims["iat"] == 300
    assert set(claims) == {"iss", "aud", "sub", "kind", "roles", "iat", "exp", "jti"}
    header = jwt.get_unverified_header(token)
    published = httpx.get(f"{shop.url('sessions')}/.well-known/jwks.json").json()["keys"]
    assert (header["alg"], len(published)) == ("EdDSA", 2)
    assert header["kid"] in {key["kid"] for key in published}


def test_a_services_token_carries_its_own_roles_only(shop: Shop) -> None:
    body = {"grant": "client_credentials", "client_id": "orders", "client_secret": shop.env["ORDERS_CLIENT_SECRET"]}
    token = httpx.post(f"{shop.url('sessions')}/tokens", json=body).json()["access_token"]
    claims = jwt.decode(token, options={"verify_signature": False})
    assert (claims["sub"], claims["kind"]) == ("orders", "service")
    assert set(claims["roles"]) == {"users:read", "products:reserve", "payments:take"}
    for wrong in (
        {"client_secret": shop.env["DEMO_CLIENT_SECRET"]},
        {"client_id": "sessions"},
        {"client_id": "nobody"},
    ):
        refused = httpx.post(f"{shop.url('sessions')}/tokens", json=body | wrong)
        assert (refused.status_code, refused.json()["type"]) == (401, "urn:millrace:problem:unknown-client")


def test_a_rotated_key_signs_and_the_tokens_before_stay_good(people: People, shop: Shop) -> None:
    person = people()
    session = person.session()
    before = person.exchange(session).json()["access_token"]
    keys = Keys(Path(shop.env["SESSIONS_KEYS_FILE"]))
    signing = keys.rotate().kid
    after = person.exchange(session).json()["access_token"]
    assert jwt.get_unverified_header(after)["kid"] == signing != jwt.get_unverified_header(before)["kid"]
    assert [person.call("GET", f"/users/{person.id}", token=token).status_code for token in (before, after)] == [
        200,
        200,
    ]


def test_wrong_passwords_and_unknown_people_look_alike(people: People) -> None:
    person = people()
    wrong = Person(person.http, person.shop, person.id, person.email, "not the password").log_in()
    unknown = Person(person.http, person.shop, person.id, f"{uuid4().hex}@people.example").log_in()
    for answer in (wrong, unknown):
        assert (answer.status_code, answer.json()["type"]) == (401, "urn:millrace:problem:wrong-credentials")
    assert wrong.json()["detail"] == unknown.json()["detail"]
    assert Person(person.http, person.shop, person.id, person.email.upper()).log_in().status_code == 201


def test_guessing_is_stopped_even_at_once_and_right_logins_do_not_count(people: People) -> None:
    person = people()
    for _ in range(12):
        assert person.log_in().status_code == 201
    guess = Person(person.http, person.shop, person.id, person.email.upper(), "a wrong password")
    with ThreadPoolExecutor(6) as pool:
        statuses = sorted(pool.map(lambda _: guess.log_in().status_code, range(14)))
    assert statuses == [401] * 10 + [429] * 4
    refused = person.log_in()
    assert (refused.status_code, refused.json()["type"]) == (429, "urn:millrace:problem:too-many-requests")
    assert 0 < int(refused.headers["retry-after"]) <= 1800


@pytest.fixture
def careful_sessions(shop: Shop) -> Iterator[str]:
    """A sessions service beside the stack's, that lets one address fail three times."""
    with service_process("sessions", shop.env, LOGIN_FAILURES_PER_ADDRESS="3") as process:
        process.start()
        yield process.url


def test_guessing_at_many_accounts_from_one_address_is_stopped(people: People, careful_sessions: str) -> None:
    person = people()
    one, other = (f"2001:db8::{uuid4().hex[:4]}:{uuid4().hex[:4]}" for _ in range(2))

    def log_in(email: str, address: str) -> int:
        body, headers = {"email": email, "password": PASSWORD}, {"x-forwarded-for": address}
        return person.http.post(f"{careful_sessions}/sessions", json=body, headers=headers).status_code

    assert [log_in(f"{uuid4().hex}@people.example", one) for _ in range(4)] == [401, 401, 401, 429]
    assert log_in(person.email, one) == 429
    assert log_in(person.email, other) == 201
