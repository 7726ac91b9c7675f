"""Groups of products that are variants of one another, told apart by the values of a few attributes.

Two variants of a group never have the same values: a unique constraint holds it. Whoever changes a group or its members
locks the group's row first, so that its members, their number and what it varies by agree at every moment.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

from services.kit.conditional import Match
from services.kit.db import Primary, Replica, Transaction
from services.kit.problem import Conflict, NotFound, UnknownReference, constraints
from services.products import attributes

MAX_VARIANTS = 200


class DuplicateVariant(Conflict):
    slug = "duplicate-variant"


class GroupFull(Conflict):
    slug = "group-full"


class MissingVariantAttribute(Conflict):
    slug = "missing-variant-attribute"


@dataclass(frozen=True, slots=True)
class GroupRow:
    id: UUID
    name: str
    varies_by: list[str]
    created_at: datetime
    updated_at: datetime
    version: int


@dataclass(frozen=True, slots=True)
class VariantRow:
    product_id: UUID
    sku: str
    name: str
    status: str
    variant: dict[str, Any]
    amount: Decimal
    currency: str
    available: int


@dataclass(frozen=True, slots=True)
class _Member:
    id: UUID
    sku: str
    attributes: dict[str, Any]


@dataclass(frozen=True, slots=True)
class _Size:
    group_id: UUID
    members: int


def unknown_group(group_id: UUID) -> NotFound:
    return NotFound(f"there is no group {group_id}")


def duplicate_variant() -> DuplicateVariant:
    return DuplicateVariant("the group has a variant with these values already; change a value that it varies by")


async def insert(transaction: Transaction, values: dict[str, Any]) -> GroupRow | None:
    return await transaction.one(
        GroupRow,
        "INSERT INTO product_groups (id, name, varies_by) VALUES (%(id)s, %(name)s, %(varies_by)s) RETURNING *",
        values,
    )


async def list_after(replica: Replica, after: UUID, limit: int) -> list[GroupRow]:
    return await replica.all(
        GroupRow, "SELECT * FROM product_groups WHERE id > %s ORDER BY id LIMIT %s", [after, limit]
    )


async def find(primary: Primary, group_id: UUID) -> GroupRow:
    row = await primary.one(GroupRow, "SELECT * FROM product_groups WHERE id = %s", [group_id])
    if row is None:
        raise unknown_group(group_id)
    return row


async def variants(primary: Primary, group_id: UUID) -> list[VariantRow]:
    """The group's products, oldest first; at most MAX_VARIANTS."""
    return await primary.all(
        VariantRow,
        """SELECT products.id AS product_id, sku, name, status, variant, amount, currency, available
           FROM products JOIN prices ON prices.product_id = id JOIN stock ON stock.product_id = id
           WHERE group_id = %s ORDER BY id""",
        [group_id],
    )


async def lock(transaction: Transaction, ids: Iterable[UUID]) -> dict[UUID, GroupRow]:
    """The groups of these ids that exist; nobody else changes them or their members until the transaction ends."""
    rows = await transaction.all(
        GroupRow, "SELECT * FROM product_groups WHERE id = ANY(%s) ORDER BY id FOR UPDATE", [sorted(set(ids))]
    )
    return {row.id: row for row in rows}


def require(locked: Mapping[UUID, GroupRow], ids: Iterable[UUID]) -> None:
    """Raise UnknownReference when one of the ids is of no group."""
    if missing := [str(group_id) for group_id in ids if group_id not in locked]:
        raise UnknownReference(f"there is no group {', '.join(missing)}; make it first or leave group_id out")


async def refuse_overfull(transaction: Transaction, ids: Iterable[UUID]) -> None:
    """Raise GroupFull when one of the groups, which are locked, has more than MAX_VARIANTS products now."""
    full = await transaction.all(
        _Size,
        """SELECT group_id, count(*) AS members FROM products WHERE group_id = ANY(%s)
           GROUP BY group_id HAVING count(*) > %s""",
        [list(ids), MAX_VARIANTS],
    )
    if full:
        raise GroupFull(f"a group has at most {MAX_VARIANTS} variants; {full[0].group_id} would have more")


async def update(primary: Primary, group_id: UUID, changed: dict[str, Any], match: Match) -> GroupRow:
    """Change name and what the group varies by. Refused when its products lack the attributes or do not differ by them."""
    with constraints({"products_variant_key": duplicate_variant()}):
        async with primary.transaction() as transaction:
            locked = await lock(transaction, [group_id])
            if group_id not in locked:
                raise unknown_group(group_id)
            if not match.allows(locked[group_id].version):
                raise match.failed()
            varies_by = changed.get("varies_by", locked[group_id].varies_by)
            await _require_attributes(transaction, group_id, varies_by)
            row = await transaction.one(
                GroupRow,
                """UPDATE product_groups SET name = %s, varies_by = %s, updated_at = now(), version = version + 1
                   WHERE id = %s RETURNING *""",
                [changed.get("name", locked[group_id].name), varies_by, group_id],
            )
            if varies_by != locked[group_id].varies_by:
                await _tell_apart(transaction, group_id, varies_by)
    if row is None:
        raise unknown_group(group_id)
    return row


async def _require_attributes(transaction: Transaction, group_id: UUID, varies_by: list[str]) -> None:
    for member in await transaction.all(
        _Member, "SELECT id, sku, attributes FROM products WHERE group_id = %s ORDER BY id", [group_id]
    ):
        for name, fault in attributes.variant_faults(varies_by, member.attributes).items():
            raise MissingVariantAttribute(f"product {member.sku}: attribute {name} {fault}")


async def _tell_apart(transaction: Transaction, group_id: UUID, varies_by: list[str]) -> None:
    await transaction.all(
        _Member,
        """UPDATE products SET updated_at = now(), version = version + 1,
               variant = (SELECT jsonb_object_agg(name, attributes -> name) FROM unnest(%s::text[]) AS name)
           WHERE group_id = %s RETURNING id, sku, attributes""",
        [varies_by, group_id],
    )
