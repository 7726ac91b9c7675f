"""Who calls: a person or a service, and what it may do. Names only; how a caller proves it is in `services.kit.tokens`."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Literal
from uuid import UUID


class Role(StrEnum):
    """What a route may ask for. People have the first five; services have the others, each as few as it needs."""

    CUSTOMER = "customer"
    SUPPORT = "support"
    OPERATOR = "operator"
    ADMIN = "admin"
    ANALYST = "analyst"

    USERS_READ = "users:read"
    CREDENTIALS_VERIFY = "credentials:verify"
    SESSIONS_END = "sessions:end"
    PRODUCTS_RESERVE = "products:reserve"
    PAYMENTS_TAKE = "payments:take"


STAFF = frozenset({Role.SUPPORT, Role.OPERATOR, Role.ADMIN})
PEOPLES = STAFF | {Role.CUSTOMER, Role.ANALYST}
"""The roles that a person may be given."""


@dataclass(frozen=True, slots=True)
class Principal:
    """`subject` is the id of a user, or the name of a service."""

    subject: str
    kind: Literal["user", "service"]
    roles: frozenset[Role]

    def has(self, *roles: Role) -> bool:
        """Whether it has at least one of the roles."""
        return not self.roles.isdisjoint(roles)

    def is_user(self, user_id: UUID | str) -> bool:
        """Whether it is this very person."""
        return self.kind == "user" and self.subject == str(user_id)
