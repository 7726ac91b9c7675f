"""The SQL of users and addresses. A user who was erased is not there for anybody: the row only keeps its id in use.

Refuses a second user with the same e-mail (in any case) and addresses without a user.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from services.kit.db import Primary, Replica, Transaction
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
    email_verified_at: datetime | None
    erased_at: datetime | None


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


def unknown_address(address_id: UUID) -> NotFound:
    return NotFound(f"the user has no address {address_id}")


async def insert(transaction: Transaction, values: dict[str, Any]) -> UserRow | None:
    with constraints({"users_email_key": email_taken()}):
        return await transaction.one(
            UserRow,
            """INSERT INTO users (id, email, full_name, country, marketing_consent)
               VALUES (%(id)s, %(email)s, %(full_name)s, %(country)s, %(marketing_consent)s) RETURNING *""",
            values,
        )


async def find(primary: Primary, user_id: UUID) -> UserRow | None:
    return await primary.one(UserRow, "SELECT * FROM users WHERE id = %s AND erased_at IS NULL", [user_id])


async def list_after(replica: Replica, after: UUID, limit: int) -> list[UserRow]:
    return await replica.all(
        UserRow, "SELECT * FROM users WHERE id > %s AND erased_at IS NULL ORDER BY id LIMIT %s", [after, limit]
    )


async def update(transaction: Transaction, values: dict[str, Any]) -> UserRow | None:
    """Changes what is not None; None when there is no such user in an `expected` version. Another e-mail has to be
    confirmed anew."""
    with constraints({"users_email_key": email_taken()}):
        return await transaction.one(
            UserRow,
            """UPDATE users SET email = coalesce(%(email)s, email), full_name = coalesce(%(full_name)s, full_name),
                   country = coalesce(%(country)s, country),
                   marketing_consent = coalesce(%(marketing_consent)s, marketing_consent),
                   email_verified_at = CASE WHEN lower(%(email)s) <> lower(email) THEN NULL ELSE email_verified_at END,
                   updated_at = now(), version = version + 1
               WHERE id = %(id)s AND erased_at IS NULL
                 AND (%(expected)s::bigint[] IS NULL OR version = ANY(%(expected)s)) RETURNING *""",
            values,
        )


async def insert_address(transaction: Transaction, values: dict[str, Any]) -> AddressRow | None:
    """None when there is no such user; the lock keeps the user from being erased at the same moment."""
    return await transaction.one(
        AddressRow,
        """WITH owner AS (SELECT id FROM users WHERE id = %(user_id)s AND erased_at IS NULL FOR KEY SHARE)
           INSERT INTO addresses (id, user_id, kind, line1, line2, postal_code, city, country)
           SELECT %(id)s, owner.id, %(kind)s, %(line1)s, %(line2)s, %(postal_code)s, %(city)s, %(country)s FROM owner
           RETURNING *""",
        values,
    )


async def list_addresses(primary: Primary, user_id: UUID) -> list[AddressRow]:
    return await primary.all(AddressRow, "SELECT * FROM addresses WHERE user_id = %s ORDER BY id", [user_id])


async def find_address(primary: Primary, user_id: UUID, address_id: UUID) -> AddressRow | None:
    return await primary.one(
        AddressRow, "SELECT * FROM addresses WHERE user_id = %s AND id = %s", [user_id, address_id]
    )


async def update_address(primary: Primary, values: dict[str, Any]) -> AddressRow | None:
    """Changes what is not None; `line2` becomes what it is when `line2_given`."""
    return await primary.one(
        AddressRow,
        """UPDATE addresses SET kind = coalesce(%(kind)s, kind), line1 = coalesce(%(line1)s, line1),
               line2 = CASE WHEN %(line2_given)s THEN %(line2)s ELSE line2 END,
               postal_code = coalesce(%(postal_code)s, postal_code), city = coalesce(%(city)s, city),
               country = coalesce(%(country)s, country), updated_at = now()
           WHERE user_id = %(user_id)s AND id = %(id)s RETURNING *""",
        values,
    )


async def delete_address(primary: Primary, user_id: UUID, address_id: UUID) -> bool:
    query = "DELETE FROM addresses WHERE user_id = %s AND id = %s RETURNING id"
    return await primary.one(Deleted, query, [user_id, address_id]) is not None
