"""What can be done with users: register, read, change, delete, and give them addresses."""

from uuid import UUID

from services.kit.db import Primary, Replica
from services.kit.ids import uuid7
from services.kit.pagination import Cursors, Page
from services.users import repository
from services.users.schemas import Address, Addresses, NewAddress, NewUser, User, UserChange


class Users:
    def __init__(self, primary: Primary, replica: Replica, cursors: Cursors) -> None:
        self._primary = primary
        self._replica = replica
        self._cursors = cursors

    async def register(self, new: NewUser) -> User:
        return User.model_validate(await repository.insert(self._primary, {"id": uuid7(), **new.model_dump()}))

    async def read(self, user_id: UUID) -> User:
        if (row := await repository.find(self._primary, user_id)) is None:
            raise repository.unknown_user(user_id)
        return User.model_validate(row)

    async def list(self, limit: int, cursor: str | None) -> Page[User]:
        after = self._cursors.read("users", cursor)
        rows = await repository.list_after(self._replica, after, limit + 1)
        return self._cursors.page("users", rows, limit, lambda row: row.id, User.model_validate)

    async def change(self, user_id: UUID, change: UserChange) -> User:
        if (row := await repository.update(self._primary, {"id": user_id, **change.model_dump()})) is None:
            raise repository.unknown_user(user_id)
        return User.model_validate(row)

    async def delete(self, user_id: UUID) -> None:
        if not await repository.delete(self._primary, user_id):
            raise repository.unknown_user(user_id)

    async def add_address(self, user_id: UUID, new: NewAddress) -> Address:
        values = {"id": uuid7(), "user_id": user_id, **new.model_dump()}
        return Address.model_validate(await repository.insert_address(self._primary, values))

    async def addresses(self, user_id: UUID) -> Addresses:
        rows = await repository.list_addresses(self._primary, user_id)
        if not rows:
            await self.read(user_id)
        return Addresses(items=[Address.model_validate(row) for row in rows])
