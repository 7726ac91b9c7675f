"""What can be done with accounts: prove a password, change and reset it, confirm an e-mail, change roles, erase.

Whatever ends what was granted before raises the account's epoch: the sessions service looks at it whenever a session is
exchanged for a token, so nothing depends on its being told. It is told as well, so that lists are clean at once.
"""

import logging
from typing import Protocol
from uuid import UUID

from services.kit import outbox
from services.kit.auth import Forbidden
from services.kit.client import CallRefused, CallUnavailable, ServiceClient
from services.kit.db import Primary
from services.kit.principal import STAFF, Principal, Role
from services.kit.problem import Conflict
from services.kit.rate_limits import Limit, Limiter
from services.users import accounts_repository as accounts
from services.users import mailing
from services.users.accounts_repository import AccountRow
from services.users.accounts_schemas import Account, PasswordChange, RoleChange, RoleChanges, Roles
from services.users.events import EmailConfirmed, PasswordChanged, RolesChanged, UserErased
from services.users.mail_tokens import MailTokens, hash_of, invalid_code
from services.users.passwords import Passwords
from services.users.repository import unknown_user

# A mailbox must not be flooded, nor a password guessed by who holds a token. Counted whether or not the e-mail is known.
MAILS = Limit("account-mails", 5, 3600)
WRONG_PASSWORDS = Limit("password-change", 10, 15 * 60)

logger = logging.getLogger("services.users.accounts")


class WrongCredentials(Forbidden):
    slug = "wrong-credentials"


class SessionsEnd(Protocol):
    async def __call__(self, user_id: UUID) -> None: ...


def through(sessions: ServiceClient) -> SessionsEnd:
    """Ends a user's sessions at the sessions service. When that is away they end at their next use."""

    async def end(user_id: UUID) -> None:
        try:
            await sessions.call("DELETE", f"/users/{user_id}/sessions", attempts=1)
        except (CallRefused, CallUnavailable) as error:
            logger.warning("sessions of user %s end only at their next use: %s", user_id, error.slug)

    return end


class Accounts:
    def __init__(
        self, primary: Primary, passwords: Passwords, tokens: MailTokens, limiter: Limiter, end_sessions: SessionsEnd
    ) -> None:
        self._primary = primary
        self._passwords = passwords
        self._tokens = tokens
        self._limiter = limiter
        self._end_sessions = end_sessions

    async def verify(self, email: str, password: str) -> Account:
        """Raises WrongCredentials, the same and after the same time whatever was wrong."""
        row = await accounts.find_by_email(self._primary, email)
        hashed = row.password_hash if row else None
        if not await self._passwords.matches(password, hashed) or row is None or hashed is None:
            raise WrongCredentials("the e-mail or the password is wrong")
        if self._passwords.outdated(hashed):
            await accounts.rehash(self._primary, row.user_id, hashed, await self._passwords.hash(password))
        return Account.model_validate(row)

    async def account(self, user_id: UUID) -> Account:
        return Account.model_validate(await self._find(user_id))

    async def change_password(self, user_id: UUID, change: PasswordChange) -> None:
        row = await self._find(user_id)
        await self._limiter.take(WRONG_PASSWORDS, str(user_id))
        if not await self._passwords.matches(change.current_password, row.password_hash):
            raise WrongCredentials("the current password is wrong")
        await self._limiter.give_back(WRONG_PASSWORDS, str(user_id))
        await self._set_password(row, change.new_password)

    async def ask_for_reset(self, email: str) -> None:
        """Mail a code to the user with this e-mail, if there is one; the caller does not learn whether."""
        await self._limiter.take(MAILS, f"reset {email.lower()}")
        if (row := await accounts.find_by_email(self._primary, email)) is not None:
            async with self._primary.transaction() as transaction:
                await mailing.enqueue(transaction, row.user_id, "reset-password")

    async def reset_password(self, code: str, password: str) -> None:
        """The code is good once: the epoch that it names passes with its use."""
        ticket = self._tokens.read("reset-password", code)
        row = await accounts.find(self._primary, ticket.user_id)
        if row is None or row.epoch != ticket.epoch or hash_of(row.email) != ticket.email_hash:
            raise invalid_code()
        await self._set_password(row, password)

    async def ask_for_verification(self, user_id: UUID) -> None:
        if (await self._find(user_id)).email_verified_at is not None:
            raise Conflict("this e-mail is confirmed already")
        await self._limiter.take(MAILS, f"verify {user_id}")
        async with self._primary.transaction() as transaction:
            await mailing.enqueue(transaction, user_id, "verify-email")

    async def verify_email(self, code: str) -> None:
        ticket = self._tokens.read("verify-email", code)
        row = await accounts.find(self._primary, ticket.user_id)
        if row is None or hash_of(row.email) != ticket.email_hash:
            raise invalid_code()
        async with self._primary.transaction() as transaction:
            if not await accounts.set_verified(transaction, row.user_id, row.email):
                raise invalid_code()
            await outbox.tell(transaction, EmailConfirmed(user_id=row.user_id))

    async def roles(self, user_id: UUID) -> Roles:
        return Roles.model_validate(await self._find(user_id))

    async def change_roles(self, user_id: UUID, roles: Roles, caller: Principal) -> Roles:
        """Admins only; never one's own, so that the last admin cannot leave by mistake."""
        if caller.is_user(user_id):
            raise Conflict("nobody changes their own roles; ask another admin")
        wanted = [role.value for role in sorted(set(roles.roles), key=list(Role).index)]
        async with self._primary.transaction() as transaction:
            former = await accounts.set_roles(transaction, user_id, wanted, f"{caller.kind} {caller.subject}")
            if former is not None and former.roles != wanted:
                await outbox.tell(transaction, RolesChanged(user_id=user_id, before=former.roles, after=wanted))
        if former is None:
            raise unknown_user(user_id)
        if former.roles != wanted:
            await self._end_sessions(user_id)
        return await self.roles(user_id)

    async def role_changes(self, user_id: UUID) -> RoleChanges:
        """The audit of a user's roles, the oldest change first; it outlives the user."""
        rows = await accounts.role_changes(self._primary, user_id)
        return RoleChanges(items=[RoleChange.model_validate(row) for row in rows])

    async def erase(self, user_id: UUID, caller: Principal) -> None:
        await self.require_power_over(caller, user_id)
        async with self._primary.transaction() as transaction:
            if erased := await accounts.erase(transaction, user_id):
                await outbox.tell(transaction, UserErased(user_id=user_id))
        if not erased:
            raise unknown_user(user_id)
        await self._end_sessions(user_id)

    async def require_power_over(self, caller: Principal, user_id: UUID) -> None:
        """Who changes the e-mail of a colleague can take over the account: only admins may, or oneself."""
        if caller.is_user(user_id) or caller.has(Role.ADMIN):
            return
        row = await accounts.find(self._primary, user_id)
        if row is not None and not STAFF.isdisjoint(map(Role, row.roles)):
            raise Forbidden("this is an account of the staff; only an admin may do that")

    async def _find(self, user_id: UUID) -> AccountRow:
        if (row := await accounts.find(self._primary, user_id)) is None:
            raise unknown_user(user_id)
        return row

    async def _set_password(self, row: AccountRow, password: str) -> None:
        hashed = await self._passwords.hash(password)
        async with self._primary.transaction() as transaction:
            if not await accounts.set_password(transaction, row.user_id, row.epoch, hashed):
                raise Conflict("the account was changed at the same moment; try again")
            await outbox.tell(transaction, PasswordChanged(user_id=row.user_id))
        await self._end_sessions(row.user_id)
