"""`python -m services.sessions`: wire the sessions service and serve it on 127.0.0.1:$PORT."""

import re
import time
from collections.abc import AsyncIterator, Generator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Annotated

import httpx
from fastapi import FastAPI
from pydantic import BeforeValidator, Field
from pydantic_settings import NoDecode

from services.kit.client import ServiceClient
from services.kit.guard import Guard
from services.kit.rate_limits import Limit, Limiter
from services.kit.redis import connect
from services.kit.settings import Settings, Url
from services.kit.start import Check, start
from services.kit.tokens import LIFETIME_S, Verifier
from services.sessions.api import build
from services.sessions.clients import ROLES
from services.sessions.keys import Keys
from services.sessions.people import People
from services.sessions.repository import Store
from services.sessions.service import Rules, Sessions

_RENEW_BEFORE_S = 30
_SHA256 = re.compile(r"[0-9a-f]{64}")


def _pairs(text: str) -> dict[str, str]:
    return dict(_pair(part) for part in text.split(","))


def _pair(text: str) -> tuple[str, str]:
    name, _, hashed = text.partition(":")
    if name not in ROLES or not _SHA256.fullmatch(hashed):
        raise ValueError(f"not name:hash,... with 64 hex digits each and the names {', '.join(ROLES)}")
    return name, hashed


class SessionsSettings(Settings):
    redis_url: str = Field(validation_alias="REDIS_URL", description="address of Redis, with its password")
    users_url: Url = Field(validation_alias="USERS_URL", description="address of the users service")
    keys_file: Path = Field(
        validation_alias="SESSIONS_KEYS_FILE",
        description="private file of the keys that sign tokens; made when it is not there",
    )
    client_secret_hashes: Annotated[dict[str, str], NoDecode, BeforeValidator(_pairs)] = Field(
        validation_alias="CLIENT_SECRET_HASHES",
        description="name:hash,... for each service that may have tokens the SHA-256 of its secret, in hex",
    )
    idle_s: int = Field(
        default=30 * 60, ge=1, validation_alias="SESSION_IDLE_SECONDS", description="life of an unused session"
    )
    absolute_s: int = Field(
        default=12 * 3600, ge=1, validation_alias="SESSION_ABSOLUTE_SECONDS", description="life of any session"
    )
    secure_cookie: bool = Field(
        default=True,
        validation_alias="SESSION_COOKIE_SECURE",
        description="whether the cookie is for HTTPS only; false where there is only loopback",
    )
    failures_per_email: int = Field(
        default=10, ge=1, validation_alias="LOGIN_FAILURES_PER_EMAIL", description="wrong passwords in 15 minutes"
    )
    failures_per_address: int = Field(
        default=100, ge=1, validation_alias="LOGIN_FAILURES_PER_ADDRESS", description="wrong passwords in 15 minutes"
    )


class _OwnToken(httpx.Auth):
    """The tokens of this service itself, which it signs without asking anybody."""

    def __init__(self, keys: Keys) -> None:
        self._keys = keys
        self._token, self._good_until = "", 0.0

    def auth_flow(self, request: httpx.Request) -> Generator[httpx.Request, httpx.Response, None]:
        if time.monotonic() > self._good_until:
            self._token = self._keys.sign("sessions", "service", [role.value for role in ROLES["sessions"]])
            self._good_until = time.monotonic() + LIFETIME_S - _RENEW_BEFORE_S
        request.headers["Authorization"] = f"Bearer {self._token}"
        yield request


def _rules(settings: SessionsSettings) -> Rules:
    return Rules(
        absolute_s=settings.absolute_s,
        per_email=Limit("login-email", settings.failures_per_email, 15 * 60),
        per_address=Limit("login-address", settings.failures_per_address, 15 * 60),
        secret_hashes=settings.client_secret_hashes,
    )


@asynccontextmanager
async def wiring(app: FastAPI, settings: SessionsSettings) -> AsyncIterator[Mapping[str, Check]]:
    keys = Keys(settings.keys_file)
    async with (
        connect(settings.redis_url) as redis,
        ServiceClient("users", settings.users_url, auth=_OwnToken(keys)) as users,
    ):
        limiter = Limiter(redis)
        store = Store(redis, settings.idle_s * 1000)
        app.state.service = Sessions(store, People(users), keys, limiter, _rules(settings))
        app.state.keys = keys
        app.state.secure_cookie = settings.secure_cookie
        app.state.verifier = Verifier(keys.fetch)
        app.state.guard = Guard(limiter)
        yield {"redis": store.answers}


if __name__ == "__main__":
    start("sessions", SessionsSettings, build, wiring)
