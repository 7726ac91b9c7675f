"""Access tokens: short-lived JWTs, signed with Ed25519 by the sessions service, verified by everybody else on their own.

    Unauthorized  401  no token, or not one that holds now
    Unavailable   503  the keys could not be had yet (transient)

The keys are fetched once and kept: they are asked for again when a token names one that is not known, and every few
minutes so that a withdrawn key is forgotten. While the sessions service is away the known ones go on being used. Any
other algorithm than EdDSA is refused, whatever a token says about itself.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import httpx
import jwt

from services.kit.principal import Principal, Role
from services.kit.problem import ProblemError, Unavailable

ISSUER = "millrace-sessions"
AUDIENCE = "millrace"
LIFETIME_S = 300
ALGORITHM = "EdDSA"
JWKS_PATH = "/.well-known/jwks.json"

_REFRESH_S = 300.0
# A flood of tokens with invented key ids must not become a flood of requests.
_PAUSE_S = 1.0
_LEEWAY_S = 5
_CLAIMS = ("exp", "iat", "iss", "aud", "sub", "kind", "roles")

Fetch = Callable[[], Awaitable[Mapping[str, Any]]]
"""Gives the JSON Web Key Set; raises httpx.HTTPError or OSError when it cannot be had."""


class Unauthorized(ProblemError):
    status, slug = 401, "unauthorized"

    def headers(self) -> dict[str, str]:
        return {"WWW-Authenticate": 'Bearer realm="millrace"'}


class InvalidToken(Unauthorized):
    slug = "invalid-token"

    def headers(self) -> dict[str, str]:
        return {"WWW-Authenticate": 'Bearer realm="millrace", error="invalid_token"'}


def fetch_from(sessions_url: str, http: httpx.AsyncClient) -> Fetch:
    """The key set of the sessions service at this address."""

    async def fetch() -> Mapping[str, Any]:
        response = await http.get(sessions_url + JWKS_PATH)
        document: dict[str, Any] = response.raise_for_status().json()
        return document

    return fetch


class Verifier:
    """Turns a token into the Principal that it names. One for each process."""

    def __init__(self, fetch: Fetch) -> None:
        self._fetch = fetch
        self._keys: dict[str, jwt.PyJWK] = {}
        self._fetched_at = self._asked_at = float("-inf")
        self._lock = asyncio.Lock()

    async def ready(self) -> None:
        """Return once keys are known; raises Unavailable when they cannot be had."""
        if not self._keys:
            await self._refresh(needed=True)

    async def verify(self, token: str) -> Principal:
        """Raises InvalidToken, or Unavailable when no key is known yet."""
        try:
            kid = jwt.get_unverified_header(token).get("kid")
        except jwt.InvalidTokenError as error:
            raise InvalidToken("this is not an access token; get one from POST /tokens") from error
        if kid not in self._keys or time.monotonic() - self._fetched_at > _REFRESH_S:
            await self._refresh(needed=not self._keys)
        key = self._keys.get(str(kid))
        if key is None:
            raise InvalidToken("the token's key is not known; get a new token from POST /tokens")
        try:
            claims = jwt.decode(
                token,
                key,
                algorithms=[ALGORITHM],
                audience=AUDIENCE,
                issuer=ISSUER,
                leeway=_LEEWAY_S,
                options={"require": list(_CLAIMS)},
            )
        except jwt.ExpiredSignatureError as error:
            raise InvalidToken("the token has expired; get a new one from POST /tokens") from error
        except jwt.InvalidTokenError as error:
            raise InvalidToken("the token is not valid; get a new one from POST /tokens") from error
        return _principal(claims)

    async def _refresh(self, *, needed: bool) -> None:
        """Fetch the keys, one caller at a time. A failure matters only when they are `needed`."""
        async with self._lock:
            if time.monotonic() - self._asked_at > _PAUSE_S:
                self._asked_at = time.monotonic()
                try:
                    keys = jwt.PyJWKSet.from_dict(dict(await self._fetch()))
                except (httpx.HTTPError, OSError, ValueError, jwt.PyJWTError):
                    pass
                else:
                    self._keys = {key.key_id: key for key in keys.keys if key.key_id is not None}
                    self._fetched_at = time.monotonic()
        if needed and not self._keys:
            raise Unavailable("the keys of access tokens cannot be had from the sessions service; try again")


def _principal(claims: Mapping[str, Any]) -> Principal:
    """The caller named by verified claims. Roles that this version does not know give nothing."""
    known = {role.value for role in Role}
    roles = frozenset(Role(role) for role in claims["roles"] if role in known)
    return Principal(str(claims["sub"]), "service" if claims["kind"] == "service" else "user", roles)
