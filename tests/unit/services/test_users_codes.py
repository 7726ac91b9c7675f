"""Mailed codes and password hashes, without a server."""

import asyncio
from uuid import uuid4

import jwt
import pytest

from services.users import mail_tokens
from services.users.mail_tokens import InvalidCode, Kind, MailTokens, Ticket, hash_of
from services.users.mailing import TEXTS
from services.users.passwords import Passwords

TOKENS = MailTokens("secret")


def ticket(kind: Kind = "verify-email") -> Ticket:
    return Ticket(kind, uuid4(), 3, hash_of("rosa@example.org"))


def test_a_code_comes_back_as_it_was_made() -> None:
    made = ticket()
    assert TOKENS.read("verify-email", TOKENS.write(made)) == made


def test_a_code_is_good_for_its_kind_and_secret_only() -> None:
    code = TOKENS.write(ticket("reset-password"))
    for tokens, kind, text in (
        (TOKENS, "verify-email", code),
        (MailTokens("other"), "reset-password", code),
        (TOKENS, "reset-password", code[:-2]),
        (TOKENS, "reset-password", jwt.encode({"aud": "reset-password", "sub": str(uuid4())}, "x" * 32)),
    ):
        with pytest.raises(InvalidCode):
            tokens.read("verify-email" if kind == "verify-email" else "reset-password", text)


def test_a_code_expires(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(mail_tokens.LIFETIMES_S, "verify-email", -1)
    with pytest.raises(InvalidCode):
        TOKENS.read("verify-email", TOKENS.write(ticket()))


def test_a_code_holds_nothing_personal() -> None:
    assert "rosa" not in str(jwt.decode(TOKENS.write(ticket()), options={"verify_signature": False}))


@pytest.mark.parametrize("kind", TEXTS)
def test_every_mail_shows_its_code_on_a_line_of_its_own(kind: Kind) -> None:
    assert "\n\nTHE-CODE\n\n" in TEXTS[kind][1].format(code="THE-CODE", hours=1)


def test_a_password_matches_its_own_hash_only() -> None:
    async def run() -> None:
        passwords = Passwords()
        hashed = await passwords.hash("correct horse battery")
        assert hashed != await passwords.hash("correct horse battery")
        assert await passwords.matches("correct horse battery", hashed)
        assert not await passwords.matches("correct horse batterY", hashed)
        assert not await passwords.matches("nobody has this password", None)
        assert not await passwords.matches("x", "not a hash")
        assert not passwords.outdated(hashed)
        assert passwords.outdated(hashed.replace("t=2", "t=1"))

    asyncio.run(run())
