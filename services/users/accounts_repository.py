"""The SQL of accounts: password hashes, roles, epochs, and the erasure of a person."""

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from services.kit.db import Primary, Transaction


@dataclass(frozen=True, slots=True)
class AccountRow:
    user_id: UUID
    email: str
    email_verified_at: datetime | None
    password_hash: str | None
    roles: list[str]
    epoch: int


@dataclass(frozen=True, slots=True)
class RoleChangeRow:
    id: int
    user_id: UUID
    before: list[str]
    after: list[str]
    changed_by: str
    changed_at: datetime


@dataclass(frozen=True, slots=True)
class Touched:
    user_id: UUID


async def find(primary: Primary, user_id: UUID) -> AccountRow | None:
    return await primary.one(
        AccountRow,
        """SELECT user_id, email, email_verified_at, password_hash, roles, epoch
           FROM users JOIN service.credentials ON user_id = id WHERE id = %s AND erased_at IS NULL""",
        [user_id],
    )


async def find_by_email(primary: Primary, email: str) -> AccountRow | None:
    return await primary.one(
        AccountRow,
        """SELECT user_id, email, email_verified_at, password_hash, roles, epoch
           FROM users JOIN service.credentials ON user_id = id WHERE lower(email) = lower(%s) AND erased_at IS NULL""",
        [email],
    )


async def insert(transaction: Transaction, user_id: UUID, password_hash: str | None) -> None:
    await transaction.execute(
        "INSERT INTO service.credentials (user_id, password_hash) VALUES (%s, %s)", [user_id, password_hash]
    )


async def rehash(primary: Primary, user_id: UUID, former: str, hashed: str) -> None:
    """Store the same password's better hash; nothing else changes, and nothing when the password did meanwhile."""
    await primary.one(
        Touched,
        """UPDATE service.credentials SET password_hash = %s WHERE user_id = %s AND password_hash = %s
           RETURNING user_id""",
        [hashed, user_id, former],
    )


async def set_password(transaction: Transaction, user_id: UUID, epoch: int, hashed: str) -> bool:
    """Whether the account was still at `epoch`; it is at the next one then."""
    done = await transaction.one(
        Touched,
        """UPDATE service.credentials SET password_hash = %s, epoch = epoch + 1, updated_at = now()
           WHERE user_id = %s AND epoch = %s RETURNING user_id""",
        [hashed, user_id, epoch],
    )
    return done is not None


async def set_verified(transaction: Transaction, user_id: UUID, email: str) -> bool:
    """Whether this e-mail was the user's and not verified yet."""
    done = await transaction.one(
        Touched,
        """UPDATE users SET email_verified_at = now(), updated_at = now(), version = version + 1
           WHERE id = %s AND email = %s AND email_verified_at IS NULL AND erased_at IS NULL RETURNING id AS user_id""",
        [user_id, email],
    )
    return done is not None


async def set_roles(transaction: Transaction, user_id: UUID, roles: list[str], changed_by: str) -> AccountRow | None:
    """The account as it was; its roles change, its epoch rises and the change is recorded when they differ."""
    former = await transaction.one(
        AccountRow,
        """SELECT user_id, email, email_verified_at, password_hash, roles, epoch
           FROM service.credentials JOIN users ON id = user_id
           WHERE user_id = %s AND erased_at IS NULL FOR UPDATE OF credentials""",
        [user_id],
    )
    if former is not None and former.roles != roles:
        await transaction.execute(
            "UPDATE service.credentials SET roles = %s, epoch = epoch + 1, updated_at = now() WHERE user_id = %s",
            [roles, user_id],
        )
        await transaction.execute(
            "INSERT INTO service.role_changes (user_id, before, after, changed_by) VALUES (%s, %s, %s, %s)",
            [user_id, former.roles, roles, changed_by],
        )
    return former


async def role_changes(primary: Primary, user_id: UUID) -> list[RoleChangeRow]:
    return await primary.all(
        RoleChangeRow, "SELECT * FROM service.role_changes WHERE user_id = %s ORDER BY id", [user_id]
    )


async def erase(transaction: Transaction, user_id: UUID) -> bool:
    """Whether there was such a person. The row stays, so that orders keep the id they name; nothing personal does."""
    await transaction.execute("DELETE FROM addresses WHERE user_id = %s", [user_id])
    await transaction.execute("DELETE FROM service.credentials WHERE user_id = %s", [user_id])
    await transaction.execute("DELETE FROM service.outgoing_mails WHERE user_id = %s", [user_id])
    done = await transaction.one(
        Touched,
        """UPDATE users SET email = 'erased-' || id || '@erased.invalid', full_name = 'erased', country = 'ZZ',
               marketing_consent = false, email_verified_at = NULL, erased_at = now(), updated_at = now(),
               version = version + 1
           WHERE id = %s AND erased_at IS NULL RETURNING id AS user_id""",
        [user_id],
    )
    return done is not None
