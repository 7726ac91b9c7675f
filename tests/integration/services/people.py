"""People of the test shop: registered with a password, logged in, and with tokens of their own."""

import asyncio
import mailbox
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar
from uuid import uuid4

import httpx

from services.users.grant import grant
from tests.integration.services.shop import Shop

PASSWORD = "correct horse battery"
T = TypeVar("T")


@dataclass
class Person:
    """Somebody who registered."""

    http: httpx.Client
    shop: Shop
    id: str
    email: str
    password: str = PASSWORD

    def log_in(self, **more: Any) -> httpx.Response:
        body = {"email": self.email, "password": self.password}
        return self.http.post(f"{self.shop.url('sessions')}/sessions", json=body, **more)

    def session(self) -> str:
        """The id of a new session."""
        answer = self.log_in()
        assert answer.status_code == 201, answer.text
        return str(answer.json()["session"])

    def exchange(self, session: str) -> httpx.Response:
        body = {"grant": "session", "session": session}
        return self.http.post(f"{self.shop.url('sessions')}/tokens", json=body)

    def token(self) -> str:
        return str(self.exchange(self.session()).json()["access_token"])

    def call(self, method: str, path: str, *, token: str, service: str = "users", **request: Any) -> httpx.Response:
        headers = {"authorization": f"Bearer {token}", "if-match": "*", "idempotency-key": uuid4().hex}
        return self.http.request(method, self.shop.url(service) + path, headers=headers, **request)


def new_person(shop: Shop, http: httpx.Client, *roles: str) -> Person:
    email = f"{uuid4().hex}@people.example"
    body = {"email": email, "full_name": "Zuleika Quartermain", "country": "DE", "password": PASSWORD}
    made = http.post(f"{shop.url('users')}/users", json=body)
    assert made.status_code == 201, made.text
    if roles:
        assert asyncio.run(grant(shop.env["USERS_DSN"], email, list(roles)))
    return Person(http, shop, made.json()["id"], email)


def mailed_code(shop: Shop, email: str, subject: str, *, after: int = 0) -> str:
    """The code of the mail to this address with this subject, once there are more than `after` of them."""
    folder = Path(shop.env["MILLRACE_HOME"]) / "mail"

    def codes() -> list[str]:
        mails = mailbox.Maildir(folder, create=False)
        texts = [str(mail.get_payload()) for mail in mails if (mail["To"], mail["Subject"]) == (email, subject)]
        return [line for text in texts for line in text.splitlines() if line.startswith("eyJ")]

    return eventually(lambda: found[-1] if len(found := codes()) > after else None)


def eventually(ask: Callable[[], T | None], seconds: float = 10.0) -> T:
    """The first answer that is not None; fails when there is none in time."""
    deadline = time.monotonic() + seconds
    while (answer := ask()) is None:
        assert time.monotonic() < deadline, "it did not come about in time"
        time.sleep(0.05)  # polls another process
    return answer
