"""What can be done with users: register, read, change, and give them addresses. Accounts are in `users.accounts`."""

from uuid import UUID

from services.kit import outbox
from services.kit.auth import Forbidden
from services.kit.conditional import Match
from services.kit.db import Primary, Replica, Transaction
from services.kit.ids import uuid7
from services.kit.pagination import Cursors, Page
from services.kit.principal import Principal, Role
from services.kit.tokens import Unauthorized
from services.users import accounts_repository, mailing, repository
from services.users.events import ProfileChanged, UserRegistered
from services.users.passwords import Passwords
from services.users.schemas import Address, AddressChange, Addresses, NewAddress, NewUser, User, UserChange


class Users:
    def __init__(self, primary: Primary, replica: Replica, cursors: Cursors, passwords: Passwords) -> None:
        self._primary = primary
        self._replica = replica
        self._cursors = cursors
        self._passwords = passwords

    async def admit(self, new: NewUser, caller: Principal | None) -> str | None:
        """The hash of the new user's password. People register with a password; an operator registers others without
        one, for whom it is None. Raises Unauthorized or Forbidden for anybody else without a password."""
        if new.password is None:
            _require_operator(caller)
            return None
        return await self._passwords.hash(new.password)

    async def register(self, transaction: Transaction, new: NewUser, hashed: str | None) -> User:
        """Who has a password gets a mail."""
        values = {"id": uuid7(), **new.model_dump(exclude={"password"})}
        made = User.model_validate(await repository.insert(transaction, values))
        await accounts_repository.insert(transaction, made.id, hashed)
        if hashed is not None:
            await mailing.enqueue(transaction, made.id, "verify-email")
        await outbox.tell(transaction, UserRegistered(user_id=made.id))
        return made

    async def read(self, user_id: UUID) -> User:
        if (row := await repository.find(self._primary, user_id)) is None:
            raise repository.unknown_user(user_id)
        return User.model_validate(row)

    async def list(self, limit: int, cursor: str | None) -> Page[User]:
        after = self._cursors.read("users", cursor)
        rows = await repository.list_after(self._replica, after, limit + 1)
        return self._cursors.page("users", rows, limit, lambda row: row.id, User.model_validate)

    async def change(self, user_id: UUID, change: UserChange, match: Match) -> User:
        """Another e-mail has to be confirmed: a code is mailed there."""
        values = {"id": user_id, "expected": match.expected, **change.model_dump()}
        async with self._primary.transaction() as transaction:
            row = await repository.update(transaction, values)
            if row is not None:
                await outbox.tell(
                    transaction, ProfileChanged(user_id=user_id, members=tuple(sorted(change.model_fields_set)))
                )
            if row is not None and change.email is not None and row.email_verified_at is None:
                await mailing.enqueue(transaction, user_id, "verify-email")
        if row is None:
            await self.read(user_id)
            raise match.failed()
        return User.model_validate(row)

    async def add_address(self, transaction: Transaction, user_id: UUID, new: NewAddress) -> Address:
        values = {"id": uuid7(), "user_id": user_id, **new.model_dump()}
        if (row := await repository.insert_address(transaction, values)) is None:
            raise repository.unknown_user(user_id)
        return Address.model_validate(row)

    async def addresses(self, user_id: UUID) -> Addresses:
        rows = await repository.list_addresses(self._primary, user_id)
        if not rows:
            await self.read(user_id)
        return Addresses(items=[Address.model_validate(row) for row in rows])

    async def address(self, user_id: UUID, address_id: UUID) -> Address:
        if (row := await repository.find_address(self._primary, user_id, address_id)) is None:
            raise repository.unknown_address(address_id)
        return Address.model_validate(row)

    async def change_address(self, user_id: UUID, address_id: UUID, change: AddressChange) -> Address:
        given = {"line2_given": "line2" in change.model_fields_set}
        values = {"user_id": user_id, "id": address_id, **change.model_dump(), **given}
        if (row := await repository.update_address(self._primary, values)) is None:
            raise repository.unknown_address(address_id)
        return Address.model_validate(row)

    async def delete_address(self, user_id: UUID, address_id: UUID) -> None:
        if not await repository.delete_address(self._primary, user_id, address_id):
            raise repository.unknown_address(address_id)


def _require_operator(caller: Principal | None) -> None:
    if caller is None:
        raise Unauthorized("register with a password; without one only an operator registers somebody")
    if not caller.has(Role.OPERATOR, Role.ADMIN):
        raise Forbidden("only an operator registers somebody without a password")
