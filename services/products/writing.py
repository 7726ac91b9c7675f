"""Making and changing products: attributes, group and variant are checked in the transaction that writes them.

All or none: an import with one faulty product makes none. Groups are locked before products, by everybody.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from psycopg.types.json import Jsonb

from services.kit import outbox
from services.kit.conditional import Match
from services.kit.db import Primary, Transaction
from services.kit.ids import uuid7
from services.kit.problem import Conflict, ProblemError, UnknownReference, constraints
from services.products import attributes, groups, repository
from services.products.events import PriceChanged, ProductAdded, ProductChanged, ProductDeleted
from services.products.repository import Touched, unknown_product
from services.products.schemas import NewPrice, NewProduct


@dataclass(frozen=True, slots=True)
class _Current:
    id: UUID
    name: str
    brand: str
    category_id: UUID
    group_id: UUID | None
    description: str
    attributes: dict[str, Any]
    status: str
    version: int


def _meaning() -> dict[str, ProblemError]:
    return {
        "products_sku_key": Conflict("a product with this SKU exists already"),
        "products_category_id_fkey": UnknownReference("there is no category with this category_id"),
        "products_variant_key": groups.duplicate_variant(),
    }


async def add(transaction: Transaction, products: Sequence[NewProduct]) -> list[UUID]:
    """Make the products with price, stock and first movement; their ids."""
    rows = [{"id": str(uuid7()), **_columns(new)} for new in products]
    wanted = {new.group_id for new in products if new.group_id is not None}
    with constraints(_meaning()):
        locked = await groups.lock(transaction, wanted) if wanted else {}
        groups.require(locked, sorted(wanted))
        demanded = await attributes.schemas_of(transaction, list({new.category_id for new in products}))
        for number, (new, row) in enumerate(zip(products, rows, strict=True)):
            where = "body.attributes" if len(products) == 1 else f"body.products.{number}.attributes"
            attributes.refuse(attributes.faults(demanded.get(new.category_id, {}), new.attributes), where)
            row["variant"] = _variant(locked, new.group_id, new.attributes, where)
        await repository.insert(transaction, rows)
        if wanted:
            await groups.refuse_overfull(transaction, wanted)
        await outbox.tell(transaction, *(_added(row) for row in rows))
    return [UUID(row["id"]) for row in rows]


def _added(row: dict[str, Any]) -> ProductAdded:
    told = {name: row[name] for name in ("sku", "category_id", "group_id", "amount", "currency", "stock")}
    return ProductAdded(product_id=row["id"], **told)


def _columns(new: NewProduct) -> dict[str, Any]:
    price = new.price.model_dump(mode="json")
    return {**new.model_dump(mode="json", exclude={"price"}), **price}


def _variant(
    locked: dict[UUID, groups.GroupRow], group_id: UUID | None, values: dict[str, Any], where: str
) -> dict[str, Any] | None:
    """The values that tell the product apart in its group."""
    if group_id is None:
        return None
    varies_by = locked[group_id].varies_by
    attributes.refuse(attributes.variant_faults(varies_by, values), where)
    return {name: values[name] for name in varies_by}


async def change(primary: Primary, product_id: UUID, changed: dict[str, Any], match: Match) -> None:
    """Change what `changed` names; the version rises. Attributes are checked when they, category or group change."""
    with constraints(_meaning()):
        async with primary.transaction() as transaction:
            wanted = changed.get("group_id")
            locked = await groups.lock(transaction, await _groups_of(transaction, product_id, wanted))
            groups.require(locked, [] if wanted is None else [wanted])
            before = await transaction.one(
                _Current,
                """SELECT id, name, brand, category_id, group_id, description, attributes, status, version
                   FROM products WHERE id = %s FOR UPDATE""",
                [product_id],
            )
            if before is None:
                raise unknown_product(product_id)
            if not match.allows(before.version):
                raise match.failed()
            after = {name: changed.get(name, getattr(before, name)) for name in _Current.__slots__}
            if after["group_id"] is not None and after["group_id"] not in locked:
                raise Conflict("the product was put into another group meanwhile; read it again")
            if changed.keys() & {"attributes", "category_id"}:
                demanded = await attributes.schemas_of(transaction, [after["category_id"]])
                attributes.refuse(attributes.faults(demanded.get(after["category_id"], {}), after["attributes"]))
            variant = _variant(locked, after["group_id"], after["attributes"], "body.attributes")
            await transaction.one(
                Touched,
                """UPDATE products SET name = %(name)s, brand = %(brand)s, category_id = %(category_id)s,
                       group_id = %(group_id)s, variant = %(variant)s, description = %(description)s,
                       attributes = %(attributes)s, status = %(status)s, updated_at = now(), version = version + 1
                   WHERE id = %(id)s RETURNING id""",
                after
                | {"attributes": Jsonb(after["attributes"]), "variant": None if variant is None else Jsonb(variant)},
            )
            if wanted is not None:
                await groups.refuse_overfull(transaction, [wanted])
            await outbox.tell(transaction, ProductChanged(product_id=product_id, members=tuple(sorted(changed))))


async def set_price(primary: Primary, product_id: UUID, price: NewPrice, match: Match) -> bool:
    """Set the price; the same one again changes nothing. Whether the product is there, in a version that `match` allows."""
    async with primary.transaction() as transaction:
        done = await repository.set_price(transaction, product_id, price.model_dump(), match.expected)
        if done is not None and done.changed:
            await outbox.tell(transaction, PriceChanged(product_id=product_id, **price.model_dump()))
    return done is not None


async def delete(primary: Primary, product_id: UUID, match: Match) -> bool:
    """Whether the product was there, in a version that `match` allows."""
    async with primary.transaction() as transaction:
        if done := await repository.delete(transaction, product_id, match.expected):
            await outbox.tell(transaction, ProductDeleted(product_id=product_id))
    return done


async def _groups_of(transaction: Transaction, product_id: UUID, wanted: UUID | None) -> list[UUID]:
    now = await transaction.all(
        Touched, "SELECT group_id AS id FROM products WHERE id = %s AND group_id IS NOT NULL", [product_id]
    )
    return [row.id for row in now] + ([] if wanted is None else [wanted])
