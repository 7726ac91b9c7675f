"""What can be done with sessions: log in and out, list one's own, and exchange one for an access token."""

import secrets
import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from uuid import UUID

from services.kit.problem import NotFound
from services.kit.rate_limits import Limit, Limiter
from services.kit.tokens import LIFETIME_S, Unauthorized
from services.sessions.clients import roles_of
from services.sessions.keys import Keys
from services.sessions.people import Account, People, WrongCredentials
from services.sessions.repository import SessionRow, Store, hash_of
from services.sessions.schemas import ClientGrant, Login, NewSession, OwnSession, OwnSessions, Token

# 256 bits: nobody guesses one. The prefix lets a scanner of leaked secrets know it.
_ID_BYTES = 32
ID_PREFIX = "ses_"


class NoSession(Unauthorized):
    slug = "no-session"


class UnknownClient(Unauthorized):
    slug = "unknown-client"


@dataclass(frozen=True, slots=True)
class Rules:
    """How long sessions live, and how many logins may fail."""

    absolute_s: int
    per_email: Limit
    per_address: Limit
    secret_hashes: Mapping[str, str]


class Sessions:
    def __init__(self, store: Store, people: People, keys: Keys, limiter: Limiter, rules: Rules) -> None:
        self._store = store
        self._people = people
        self._keys = keys
        self._limiter = limiter
        self._rules = rules

    async def log_in(self, login: Login, address: str, device: str, former: str | None) -> NewSession:
        """A new session, always with a new id; `former`, the one the caller came with, ends."""
        account = await self._verified(login, address)
        if former and (old := await self._store.touch(former, _now())):
            await self._store.end(old)
        session_id = ID_PREFIX + secrets.token_urlsafe(_ID_BYTES)
        now = _now()
        row = SessionRow(
            hash=hash_of(session_id),
            user=str(account.user_id),
            reference=secrets.token_hex(8),
            device=login.device or device,
            epoch=account.epoch,
            created=now,
            seen=now,
            ends=now + self._rules.absolute_s * 1000,
        )
        await self._store.create(row)
        return NewSession(
            session=session_id, user_id=account.user_id, reference=row.reference, expires_at=_moment(row.ends)
        )

    async def _verified(self, login: Login, address: str) -> Account:
        """Only wrong passwords count against the limits."""
        limits = ((self._rules.per_email, login.email.strip().lower()), (self._rules.per_address, address))
        # Counted before the password is looked at: many tries at once must not pass together.
        for limit, who in limits:
            await self._limiter.take(limit, who)
        wrong = False
        try:
            return await self._people.verify(login.email, login.password)
        except WrongCredentials:
            wrong = True
            raise
        finally:
            if not wrong:
                for limit, who in limits:
                    await self._limiter.give_back(limit, who)

    async def current(self, session_id: str | None) -> SessionRow:
        """The caller's session, which counts as seen. Raises NoSession."""
        row = await self._store.touch(session_id, _now()) if session_id else None
        if row is None:
            raise NoSession("there is no such session, or it has ended; log in with POST /sessions")
        return row

    async def list(self, current: SessionRow) -> OwnSessions:
        rows = await self._store.of_user(current.user)
        return OwnSessions(
            items=[
                OwnSession(
                    reference=row.reference,
                    device=row.device,
                    created_at=_moment(row.created),
                    last_seen_at=_moment(row.seen),
                    expires_at=_moment(row.ends),
                    current=row.hash == current.hash,
                )
                for row in rows
            ]
        )

    async def log_out(self, current: SessionRow) -> None:
        await self._store.end(current)

    async def end(self, current: SessionRow, reference: str) -> None:
        """End one of the caller's own sessions."""
        row = next((row for row in await self._store.of_user(current.user) if row.reference == reference), None)
        if row is None:
            raise NotFound("you have no such session")
        await self._store.end(row)

    async def end_all(self, user_id: UUID | str) -> None:
        await self._store.end_all(str(user_id))

    async def user_token(self, session_id: str | None) -> Token:
        """A token with the roles that the user has at this moment. Ends a session whose grounds are gone."""
        row = await self.current(session_id)
        account = await self._people.account(row.user)
        if account is None or account.epoch != row.epoch:
            await self._store.end(row)
            raise NoSession("this session was ended by a change of the account; log in with POST /sessions")
        return self._token(self._keys.sign(row.user, "user", account.roles))

    async def client_token(self, grant: ClientGrant) -> Token:
        roles = roles_of(grant.client_id, grant.client_secret, self._rules.secret_hashes)
        if roles is None:
            raise UnknownClient("no client has this id and secret")
        return self._token(self._keys.sign(grant.client_id, "service", [role.value for role in roles]))

    def _token(self, signed: str) -> Token:
        return Token(access_token=signed, expires_in=LIFETIME_S)


def _now() -> int:
    return time.time_ns() // 1_000_000


def _moment(milliseconds: int) -> datetime:
    return datetime.fromtimestamp(milliseconds / 1000, UTC)
