"""What the users service says about people: whether a password is right, and what somebody may do now.

`epoch` is a number that the users service raises when everything granted before shall end: a new password, other roles.
"""

from dataclasses import dataclass
from typing import Any
from uuid import UUID

from services.kit.client import CallRefused, ServiceClient
from services.kit.tokens import Unauthorized


class WrongCredentials(Unauthorized):
    slug = "wrong-credentials"


@dataclass(frozen=True, slots=True)
class Account:
    user_id: UUID
    roles: list[str]
    epoch: int


class People:
    def __init__(self, users: ServiceClient) -> None:
        self._users = users

    async def verify(self, email: str, password: str) -> Account:
        """Raises WrongCredentials, the same for an unknown e-mail and a wrong password."""
        body = {"email": email, "password": password}
        try:
            found = await self._users.call("POST", "/credentials:verify", json=body)
        except CallRefused as refusal:
            if refusal.kind != "wrong-credentials":
                raise
            raise WrongCredentials("the e-mail or the password is wrong") from refusal
        return _account(found)

    async def account(self, user_id: str) -> Account | None:
        """The account as it is now, None when it is gone."""
        try:
            return _account(await self._users.call("GET", f"/credentials/{user_id}"))
        except CallRefused as refusal:
            if refusal.answered != 404:
                raise
            return None


def _account(found: dict[str, Any]) -> Account:
    return Account(UUID(found["user_id"]), list(found["roles"]), int(found["epoch"]))
