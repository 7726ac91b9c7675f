"""The category tree. `path` is rewritten for a whole subtree in the transaction of the rename or move that changes it.

Refuses a move under the category itself or one below it. Changes of the tree happen one at a time: two moves that are
each harmless could make a ring together, and a child made during a rename would keep the old path.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from psycopg.types.json import Jsonb

from services.kit.conditional import Match
from services.kit.db import Primary, Replica, Transaction
from services.kit.problem import Conflict, NotFound, ProblemError, RuleBroken, UnknownReference, constraints


@dataclass(frozen=True, slots=True)
class CategoryRow:
    id: UUID
    parent_id: UUID | None
    name: str
    slug: str
    path: list[str]
    attribute_schema: dict[str, Any]
    created_at: datetime
    updated_at: datetime
    version: int


def unknown_category(category_id: UUID) -> NotFound:
    return NotFound(f"there is no category {category_id}")


def _meaning() -> dict[str, ProblemError]:
    return {
        "categories_slug_key": Conflict("a category with this slug exists already"),
        "categories_parent_id_fkey": UnknownReference("there is no category with this parent_id"),
    }


async def _own_the_tree(transaction: Transaction) -> None:
    # Lets readers and the foreign keys of products through, and no other writer of categories.
    await transaction.execute("LOCK TABLE categories IN SHARE ROW EXCLUSIVE MODE")


async def insert(transaction: Transaction, values: dict[str, Any]) -> CategoryRow | None:
    with constraints(_meaning()):
        await _own_the_tree(transaction)
        return await transaction.one(
            CategoryRow,
            """INSERT INTO categories (id, parent_id, name, slug, path, attribute_schema)
               SELECT %(id)s, %(parent_id)s, %(name)s, %(slug)s,
                      coalesce((SELECT path FROM categories WHERE id = %(parent_id)s), '{}') || %(name)s::text,
                      %(attribute_schema)s
               RETURNING *""",
            values | {"attribute_schema": Jsonb(values["attribute_schema"])},
        )


async def find(primary: Primary, category_id: UUID) -> CategoryRow:
    row = await primary.one(CategoryRow, "SELECT * FROM categories WHERE id = %s", [category_id])
    if row is None:
        raise unknown_category(category_id)
    return row


async def list_after(replica: Replica, after: UUID, limit: int) -> list[CategoryRow]:
    return await replica.all(CategoryRow, "SELECT * FROM categories WHERE id > %s ORDER BY id LIMIT %s", [after, limit])


async def update(primary: Primary, category_id: UUID, changed: dict[str, Any], match: Match) -> CategoryRow:
    """Rename (`name` in `changed`), move (`parent_id` in it, None for a root), demand other attributes
    (`attribute_schema` in it); the category as it is then."""
    with constraints(_meaning()):
        async with primary.transaction() as transaction:
            await _own_the_tree(transaction)
            row = await transaction.one(CategoryRow, "SELECT * FROM categories WHERE id = %s", [category_id])
            if row is None:
                raise unknown_category(category_id)
            if not match.allows(row.version):
                raise match.failed()
            parent_id = changed.get("parent_id", row.parent_id)
            if parent_id is not None and await _is_within(transaction, parent_id, category_id):
                raise RuleBroken("a category cannot be moved under itself or under one of its own")
            await transaction.execute(
                """UPDATE categories SET name = %s, parent_id = %s, attribute_schema = %s, updated_at = now(),
                       version = version + 1
                   WHERE id = %s""",
                [
                    changed.get("name", row.name),
                    parent_id,
                    Jsonb(changed.get("attribute_schema", row.attribute_schema)),
                    category_id,
                ],
            )
            await _rewrite_paths(transaction, category_id)
            changed_row = await transaction.one(CategoryRow, "SELECT * FROM categories WHERE id = %s", [category_id])
    if changed_row is None:
        raise unknown_category(category_id)
    return changed_row


async def _is_within(transaction: Transaction, category_id: UUID, root: UUID) -> bool:
    """Whether `category_id` is `root` or below it."""
    return None is not await transaction.one(
        CategoryRow,
        """WITH RECURSIVE line AS (
               SELECT * FROM categories WHERE id = %s
               UNION ALL
               SELECT categories.* FROM categories JOIN line ON categories.id = line.parent_id)
           SELECT * FROM line WHERE id = %s""",
        [category_id, root],
    )


async def _rewrite_paths(transaction: Transaction, root: UUID) -> None:
    """Give `root`, whose version has risen, and all below it the path that follows from their names and parents."""
    await transaction.execute(
        """WITH RECURSIVE subtree AS (
               SELECT root.id, coalesce(parent.path, '{}') || root.name AS path
               FROM categories AS root LEFT JOIN categories AS parent ON parent.id = root.parent_id
               WHERE root.id = %s
               UNION ALL
               SELECT child.id, subtree.path || child.name
               FROM categories AS child JOIN subtree ON child.parent_id = subtree.id)
           UPDATE categories SET path = subtree.path, updated_at = now(),
               version = version + CASE WHEN categories.id = %s THEN 0 ELSE 1 END
           FROM subtree WHERE categories.id = subtree.id AND categories.path <> subtree.path""",
        [root, root],
    )
