"""What can be done with the catalogue: keep the tree, the groups, the products and their prices."""

from uuid import UUID

from services.kit.cache import SNAPSHOT_ORDER, SnapshotOrder
from services.kit.conditional import Match
from services.kit.db import Primary, Replica, Transaction
from services.kit.ids import uuid7
from services.kit.pagination import Cursors, Page
from services.products import categories, groups, repository, writing
from services.products.repository import ProductRow
from services.products.schemas import (
    Category,
    CategoryChange,
    Group,
    GroupChange,
    GroupWithVariants,
    Imported,
    NewCategory,
    NewGroup,
    NewPrice,
    NewProduct,
    PriceChange,
    PriceTag,
    Product,
    ProductChange,
    ProductImport,
    StockLevel,
    Variant,
)


def _show(row: ProductRow) -> Product:
    return Product(
        id=row.id,
        sku=row.sku,
        category_id=row.category_id,
        group_id=row.group_id,
        name=row.name,
        brand=row.brand,
        description=row.description,
        attributes=row.attributes,
        status=row.status,
        price=PriceTag(amount=row.amount, currency=row.currency, compare_at=row.compare_at),
        stock=StockLevel(available=row.available, reserved=row.reserved, sold=row.sold),
        created_at=row.created_at,
        updated_at=row.updated_at,
        version=row.version,
    )


class Products:
    def __init__(self, primary: Primary, replica: Replica, cursors: Cursors) -> None:
        self._primary = primary
        self._replica = replica
        self._cursors = cursors

    async def add_category(self, transaction: Transaction, new: NewCategory) -> Category:
        return Category.model_validate(await categories.insert(transaction, {"id": uuid7(), **new.model_dump()}))

    async def read_category(self, category_id: UUID) -> Category:
        return Category.model_validate(await categories.find(self._primary, category_id))

    async def list_categories(self, limit: int, cursor: str | None) -> Page[Category]:
        rows = await categories.list_after(self._replica, self._cursors.read("categories", cursor), limit + 1)
        return self._cursors.page("categories", rows, limit, lambda row: row.id, Category.model_validate)

    async def change_category(self, category_id: UUID, change: CategoryChange, match: Match) -> Category:
        row = await categories.update(self._primary, category_id, change.model_dump(exclude_unset=True), match)
        return Category.model_validate(row)

    async def add(self, transaction: Transaction, new: NewProduct) -> Product:
        [product_id] = await writing.add(transaction, [new])
        return await self.read(product_id, transaction)

    async def add_many(self, transaction: Transaction, many: ProductImport) -> Imported:
        return Imported(created=len(await writing.add(transaction, many.products)))

    async def read(self, product_id: UUID, transaction: Transaction | None = None) -> Product:
        """The product as it is now, or as `transaction` leaves it."""
        rows = await repository.find(transaction or self._primary, [product_id])
        if not rows:
            raise repository.unknown_product(product_id)
        return _show(rows[0])

    async def read_as_of(self, product_id: UUID) -> tuple[int, Product | None]:
        """The product, if there is one, with the order of a snapshot that the reading is not older than."""
        async with self._primary.transaction() as transaction:
            order = await transaction.send(SnapshotOrder, f"SELECT {SNAPSHOT_ORDER} AS number")
            rows = await repository.find(transaction, [product_id])
            snapshot = await order.fetchone()
        assert snapshot is not None
        return snapshot.number, _show(rows[0]) if rows else None

    async def read_many(self, ids: list[UUID]) -> Page[Product]:
        """Those of `ids` that exist, as they are now."""
        self._replica.check_position()
        return Page(items=[_show(row) for row in await repository.find(self._primary, ids)], next_cursor=None)

    async def list(self, category_id: UUID | None, limit: int, cursor: str | None) -> Page[Product]:
        scope = f"products {category_id}"
        after = self._cursors.read(scope, cursor)
        rows = await repository.list_after(self._replica, category_id, after, limit + 1)
        return self._cursors.page(scope, rows, limit, lambda row: row.id, _show)

    async def change(self, product_id: UUID, change: ProductChange, match: Match) -> Product:
        await writing.change(self._primary, product_id, change.model_dump(exclude_unset=True), match)
        return await self.read(product_id)

    async def set_price(self, product_id: UUID, price: NewPrice, match: Match) -> Product:
        done = await writing.set_price(self._primary, product_id, price, match)
        product = await self.read(product_id)
        if not done:
            raise match.failed()
        return product

    async def list_price_changes(self, product_id: UUID, limit: int, cursor: str | None) -> Page[PriceChange]:
        scope = f"price changes {product_id}"
        after = self._cursors.read(scope, cursor).int
        rows = await repository.price_changes(self._replica, product_id, after, limit + 1)
        return self._cursors.page(scope, rows, limit, lambda row: UUID(int=row.id), PriceChange.model_validate)

    async def delete(self, product_id: UUID, match: Match) -> None:
        if not await writing.delete(self._primary, product_id, match):
            await self.read(product_id)
            raise match.failed()

    async def add_group(self, transaction: Transaction, new: NewGroup) -> Group:
        return Group.model_validate(await groups.insert(transaction, {"id": uuid7(), **new.model_dump()}))

    async def list_groups(self, limit: int, cursor: str | None) -> Page[Group]:
        rows = await groups.list_after(self._replica, self._cursors.read("groups", cursor), limit + 1)
        return self._cursors.page("groups", rows, limit, lambda row: row.id, Group.model_validate)

    async def read_group(self, group_id: UUID) -> GroupWithVariants:
        group = Group.model_validate(await groups.find(self._primary, group_id))
        variants = [Variant.model_validate(row) for row in await groups.variants(self._primary, group_id)]
        return GroupWithVariants(**group.model_dump(), variants=variants)

    async def change_group(self, group_id: UUID, change: GroupChange, match: Match) -> Group:
        row = await groups.update(self._primary, group_id, change.model_dump(exclude_unset=True), match)
        return Group.model_validate(row)
