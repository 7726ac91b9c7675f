"""Who may call: tokens verified against published keys, declarations required at start-up and shown in the document."""

import asyncio
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Annotated, Any
from uuid import UUID, uuid4

import httpx
import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from fastapi import APIRouter, FastAPI
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from services.kit.auth import allow, anyone, known, open_to_anyone, require_own
from services.kit.declarations import UndeclaredRoute
from services.kit.http import Check, application
from services.kit.principal import Principal, Role
from services.kit.tokens import ALGORITHM, AUDIENCE, ISSUER, InvalidToken, Verifier
from services.sessions.keys import Keys

router = APIRouter()


@router.get("/people/{user_id}", dependencies=[allow(Role.SUPPORT, Role.USERS_READ, own="user_id")])
async def person(user_id: UUID) -> str:
    return str(user_id)


@router.get("/things/{owner}")
async def thing(owner: UUID, caller: Annotated[Principal, allow(*Role)]) -> str:
    require_own(caller, owner, Role.ADMIN)
    return str(owner)


@router.get("/greeting")
async def greeting(caller: Annotated[Principal | None, known()]) -> str:
    return caller.subject if caller else "stranger"


@router.get("/open", dependencies=[anyone()])
async def opened() -> str:
    return "open"


class Unlimited:
    """A guard that counts nobody."""

    async def principal(self, _: Principal) -> None: ...

    async def address(self, _: Request) -> None: ...


@pytest.fixture
def keys(tmp_path: Path) -> Keys:
    return Keys(tmp_path / "keys.json")


def call(keys: Keys, path: str, token: str | None = None, scheme: str = "Bearer") -> httpx.Response:
    @asynccontextmanager
    async def wiring(app: FastAPI) -> AsyncIterator[Mapping[str, Check]]:
        app.state.verifier, app.state.guard = Verifier(keys.fetch), Unlimited()
        yield {}

    async def run() -> httpx.Response:
        app = application("test", router, wiring, strict=True)
        transport = httpx.ASGITransport(app)
        async with app.router.lifespan_context(app), httpx.AsyncClient(transport=transport) as client:
            headers = {"authorization": f"{scheme} {token}"} if token is not None else {}
            return await client.get(f"http://test{path}", headers=headers)

    return asyncio.run(run())


def test_without_a_token_the_answer_says_what_is_wanted(keys: Keys) -> None:
    answer = call(keys, f"/people/{uuid4()}")
    assert (answer.status_code, answer.json()["type"]) == (401, "urn:millrace:problem:unauthorized")
    assert answer.headers["www-authenticate"] == 'Bearer realm="millrace"'
    assert call(keys, f"/people/{uuid4()}", "abc", scheme="Basic").status_code == 401


def test_a_role_or_ones_own_id_opens_and_nothing_else(keys: Keys) -> None:
    me, other = str(uuid4()), str(uuid4())
    customer = keys.sign(me, "user", ["customer"])
    support = keys.sign(me, "user", ["customer", "support"])
    reader = keys.sign("orders", "service", ["users:read"])
    assert call(keys, f"/people/{me}", customer).status_code == 200
    assert call(keys, f"/people/{me.upper()}", customer).status_code == 200
    assert call(keys, f"/people/{other}", support).status_code == 200
    assert call(keys, f"/people/{other}", reader).status_code == 200
    for token in (customer, keys.sign(other, "service", ["customer"]), keys.sign(me, "user", ["emperor"])):
        refused = call(keys, f"/people/{other}", token)
        assert (refused.status_code, refused.json()["type"]) == (403, "urn:millrace:problem:forbidden")
        assert 'error="insufficient_scope"' in refused.headers["www-authenticate"]
    assert call(keys, "/people/no-id", customer).status_code == 403


def test_a_thing_is_its_owners_or_an_admins(keys: Keys) -> None:
    me = str(uuid4())
    assert call(keys, f"/things/{me}", keys.sign(me, "user", ["customer"])).status_code == 200
    assert call(keys, f"/things/{me}", keys.sign(str(uuid4()), "user", ["admin"])).status_code == 200
    assert call(keys, f"/things/{me}", keys.sign(str(uuid4()), "user", ["support"])).status_code == 403


def test_where_anyone_may_call_a_wrong_token_is_still_refused(keys: Keys) -> None:
    assert call(keys, "/greeting").json() == "stranger"
    assert call(keys, "/greeting", keys.sign("demo", "service", [])).json() == "demo"
    assert call(keys, "/greeting", "nonsense").status_code == 401
    assert call(keys, "/open", "nonsense").status_code == 200


def claims(**changed: object) -> dict[str, Any]:
    now = int(time.time())
    sound = {"iss": ISSUER, "aud": AUDIENCE, "sub": str(uuid4()), "kind": "user", "roles": ["admin"]}
    return {name: value for name, value in {**sound, "iat": now, "exp": now + 60, **changed}.items() if value != ""}


@pytest.mark.parametrize(
    "changed",
    [
        {"exp": int(time.time()) - 60},
        {"exp": ""},
        {"iat": int(time.time()) + 600},
        {"iss": "somebody"},
        {"aud": "another"},
        {"aud": ""},
        {"sub": ""},
        {"kind": ""},
        {"roles": ""},
    ],
    ids=str,
)
def test_a_token_with_wrong_claims_is_refused(keys: Keys, changed: dict[str, object]) -> None:
    signing = next(key for key in keys.current() if key.state == "signing")
    token = jwt.encode(claims(**changed), signing.private(), ALGORITHM, headers={"kid": signing.kid})
    refused = call(keys, f"/people/{uuid4()}", token)
    assert (refused.status_code, refused.json()["type"]) == (401, "urn:millrace:problem:invalid-token")
    assert 'error="invalid_token"' in refused.headers["www-authenticate"]


def test_a_token_of_another_key_or_algorithm_is_refused(keys: Keys) -> None:
    published = keys.published()["keys"][0]
    foreign = Ed25519PrivateKey.generate()
    forged = [
        jwt.encode(claims(), foreign, ALGORITHM, headers={"kid": published["kid"]}),
        jwt.encode(claims(), foreign, ALGORITHM, headers={"kid": "unknown"}),
        jwt.encode(claims(), foreign, ALGORITHM),
        jwt.encode(claims(), published["x"].ljust(32, "-"), "HS256", headers={"kid": published["kid"]}),
        jwt.encode(claims(), "", "none", headers={"kid": published["kid"]}),
        "",
        "a.b.c",
        "ä",
    ]
    for token in forged[:-1]:
        assert call(keys, f"/people/{uuid4()}", token).status_code == 401, token


class Published:
    """A key set that can be away, and counts who asks."""

    def __init__(self, keys: Keys) -> None:
        self.keys = keys
        self.asked = 0
        self.away = False

    async def fetch(self) -> Mapping[str, Any]:
        self.asked += 1
        if self.away:
            raise httpx.ConnectError("away")
        return self.keys.published()


def test_keys_are_kept_while_their_publisher_is_away(keys: Keys) -> None:
    async def run() -> None:
        source = Published(keys)
        verifier = Verifier(source.fetch)
        await asyncio.gather(*(verifier.verify(keys.sign("demo", "service", [])) for _ in range(10)))
        assert source.asked == 1
        source.away = True
        keys.rotate()  # the key that signs now was published before
        assert (await verifier.verify(keys.sign("demo", "service", ["operator"]))).roles == {Role.OPERATOR}
        assert source.asked == 1

    asyncio.run(run())


def test_unknown_keys_are_asked_for_but_not_by_every_forged_token(keys: Keys, tmp_path: Path) -> None:
    others = Keys(tmp_path / "others.json")

    async def run() -> None:
        source = Published(others)
        verifier = Verifier(source.fetch)
        await verifier.ready()
        for _ in range(20):
            with pytest.raises(InvalidToken):
                await verifier.verify(keys.sign("demo", "service", []))
        assert source.asked == 1
        source.keys = keys
        verifier._asked_at = float("-inf")  # as if a second had passed
        assert (await verifier.verify(keys.sign("demo", "service", []))).subject == "demo"

    asyncio.run(run())


def test_without_any_key_it_is_not_the_callers_fault(keys: Keys) -> None:
    async def away() -> Mapping[str, Any]:
        raise httpx.ConnectError("away")

    async def run() -> str:
        try:
            await Verifier(away).verify(keys.sign("demo", "service", []))
        except Exception as error:  # noqa: BLE001 - its kind is what is asked
            return type(error).__name__
        return "verified"

    assert asyncio.run(run()) == "Unavailable"


async def raw(_: Request) -> Response:
    return Response()


@open_to_anyone
async def declared_raw(_: Request) -> Response:
    return Response()


def starts(*more: APIRouter | Route) -> None:
    app = application("test", router, strict=True)
    for addition in more:
        if isinstance(addition, Route):
            app.router.routes.append(addition)
        else:
            app.include_router(addition)

    async def run() -> None:
        async with app.router.lifespan_context(app):
            pass

    asyncio.run(run())


def test_a_strict_service_starts_only_when_every_route_says_who_may_call_it() -> None:
    starts()
    starts(Route("/raw", declared_raw))
    forgetful = APIRouter()

    @forgetful.get("/forgotten")
    async def forgotten() -> None: ...

    nested = APIRouter()
    nested.include_router(forgetful)
    for addition in (forgetful, nested):
        with pytest.raises(UndeclaredRoute, match="/forgotten"):
            starts(addition)
    with pytest.raises(UndeclaredRoute, match="/raw"):
        starts(Route("/raw", raw))
    with pytest.raises(UndeclaredRoute, match="names nobody"):
        allow()


def test_the_document_says_who_may_call() -> None:
    paths = application("test", router, strict=True).openapi()["paths"]
    operation = paths["/people/{user_id}"]["get"]
    assert operation["x-callers"] == ["support", "users:read", "own:user_id"]
    assert operation["security"] == [{"accessToken": []}]
    assert {"401", "403", "429"} <= set(operation["responses"])
    assert paths["/greeting"]["get"]["security"] == [{"accessToken": []}, {}]
    assert "security" not in paths["/open"]["get"]
    assert "x-callers" not in paths["/livez"]["get"]
