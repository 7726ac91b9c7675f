"""The SQL of users. Refuses a second user with the same e-mail (in any case) and addresses without a user."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from services.kit.db import Primary, Replica
from services.kit.problem import Conflict, NotFound, constraints


@dataclass(frozen=True, slots=True)
class UserRow:
    id: UUID
    email: str
    full_name: str
    country: str
    marketing_consent: bool
    created_at: datetime
    updated_at: datetime
    version: int


@dataclass(frozen=True, slots=True)
class AddressRow:
    id: UUID
    user_id: UUID
    kind: str
    line1: str
    line2: str | None
    postal_code: str
    city: str
    country: str
    created_at: datetime
    updated_at: datetime


@dataclass(frozen=True, slots=True)
class Deleted:
    id: UUID


def email_taken() -> Conflict:
    return Conflict("a user with this e-mail exists already")


def unknown_user(user_id: UUID) -> NotFound:
    return NotFound(f"there is no user {user_id}")


async def insert(primary: Primary, values: dict[str, Any]) -> UserRow | None:
    with constraints({"users_email_key": email_taken()}):
        return await primary.one(
            UserRow,
            """INSERT INTO users (id, email, full_name, country, marketing_consent)
               VALUES (%(id)s, %(email)s, %(full_name)s, %(country)s, %(marketing_consent)s) RETURNING *""",
            values,
        )


async def find(primary: Primary, user_id: UUID) -> UserRow | None:
    return await primary.one(UserRow, "SELECT * FROM users WHERE id = %s", [user_id])


async def list_after(replica: Replica, after: UUID, limit: int) -> list[UserRow]:
    return await replica.all(UserRow, "SELECT * FROM users WHERE id > %s ORDER BY id LIMIT %s", [after, limit])


async def update(primary: Primary, values: dict[str, Any]) -> UserRow | None:
    """Changes what is not None."""
    with constraints({"users_email_key": email_taken()}):
        return await primary.one(
            UserRow,
            """UPDATE users SET email = coalesce(%(email)s, email), full_name = coalesce(%(full_name)s, full_name),
                   country = coalesce(%(country)s, country),
                   marketing_consent = coalesce(%(marketing_consent)s, marketing_consent),
                   updated_at = now(), version = version + 1
               WHERE id = %(id)s RETURNING *""",
            values,
        )


async def delete(primary: Primary, user_id: UUID) -> bool:
    return await primary.one(Deleted, "DELETE FROM users WHERE id = %s RETURNING id", [user_id]) is not None


async def insert_address(primary: Primary, values: dict[str, Any]) -> AddressRow | None:
    with constraints({"addresses_user_id_fkey": unknown_user(values["user_id"])}):
        return await primary.one(
            AddressRow,
            """INSERT INTO addresses (id, user_id, kind, line1, line2, postal_code, city, country)
               VALUES (%(id)s, %(user_id)s, %(kind)s, %(line1)s, %(line2)s, %(postal_code)s, %(city)s, %(country)s)
               RETURNING *""",
            values,
        )


async def list_addresses(primary: Primary, user_id: UUID) -> list[AddressRow]:
    return await primary.all(AddressRow, "SELECT * FROM addresses WHERE user_id = %s ORDER BY id", [user_id])
