"""The codes that users get by mail: signed, expiring, good once.

A code is not stored. It names its purpose, the user and the state it was made in (the epoch of the account, a hash of
the e-mail address); using it changes that state, and so does everything else after which it must not be good any more.
"""

import hashlib
import time
from dataclasses import dataclass
from typing import Literal
from uuid import UUID

import jwt

from services.kit.problem import Conflict

Kind = Literal["verify-email", "reset-password"]

LIFETIMES_S: dict[Kind, int] = {"verify-email": 24 * 3600, "reset-password": 3600}
_ALGORITHM = "HS256"
_HASH_CHARACTERS = 32


class InvalidCode(Conflict):
    slug = "invalid-code"


@dataclass(frozen=True, slots=True)
class Ticket:
    """What a code stands for."""

    kind: Kind
    user_id: UUID
    epoch: int
    email_hash: str


def hash_of(email: str) -> str:
    return hashlib.sha256(email.encode()).hexdigest()[:_HASH_CHARACTERS]


class MailTokens:
    """`secret` must be the same in all processes of the service."""

    def __init__(self, secret: str) -> None:
        self._key = hashlib.sha256(b"millrace mail token\0" + secret.encode()).digest()

    def write(self, ticket: Ticket) -> str:
        claims = {
            "aud": ticket.kind,
            "sub": str(ticket.user_id),
            "epoch": ticket.epoch,
            "email": ticket.email_hash,
            "exp": int(time.time()) + LIFETIMES_S[ticket.kind],
        }
        return jwt.encode(claims, self._key, _ALGORITHM)

    def read(self, kind: Kind, code: str) -> Ticket:
        """Raises InvalidCode when it is not a code of this kind, or no longer."""
        try:
            claims = jwt.decode(code, self._key, [_ALGORITHM], audience=kind, options={"require": ["exp", "sub"]})
        except jwt.InvalidTokenError as error:
            raise invalid_code() from error
        return Ticket(kind, UUID(claims["sub"]), int(claims["epoch"]), str(claims["email"]))


def invalid_code() -> InvalidCode:
    return InvalidCode("this code is not valid, was used already or has expired; ask for a new one")
