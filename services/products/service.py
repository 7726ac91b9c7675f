"""What can be done with the catalogue: keep the tree, the products, prices and stock, and hold stock for orders."""

from typing import Any
from uuid import UUID

from services.kit.db import Primary, Replica
from services.kit.ids import uuid7
from services.kit.pagination import Cursors, Page
from services.products import categories, repository, reservations
from services.products.repository import ProductRow
from services.products.schemas import (
    Category,
    CategoryChange,
    Imported,
    NewCategory,
    NewPrice,
    NewProduct,
    NewReservation,
    PriceTag,
    Product,
    ProductChange,
    ProductImport,
    Reservation,
    StockLevel,
)


def _show(row: ProductRow) -> Product:
    return Product(
        id=row.id,
        sku=row.sku,
        category_id=row.category_id,
        name=row.name,
        brand=row.brand,
        description=row.description,
        attributes=row.attributes,
        status=row.status,
        price=PriceTag(amount=row.amount, currency=row.currency),
        stock=StockLevel(available=row.available, reserved=row.reserved, sold=row.sold),
        created_at=row.created_at,
        updated_at=row.updated_at,
        version=row.version,
    )


def _columns(product_id: UUID, new: NewProduct) -> dict[str, Any]:
    values = new.model_dump(mode="json", exclude={"price"})
    return {"id": str(product_id), **values, "amount": str(new.price.amount), "currency": new.price.currency}


class Products:
    def __init__(self, primary: Primary, replica: Replica, cursors: Cursors) -> None:
        self._primary = primary
        self._replica = replica
        self._cursors = cursors

    async def add_category(self, new: NewCategory) -> Category:
        return Category.model_validate(await categories.insert(self._primary, {"id": uuid7(), **new.model_dump()}))

    async def list_categories(self, limit: int, cursor: str | None) -> Page[Category]:
        rows = await categories.list_after(self._replica, self._cursors.read("categories", cursor), limit + 1)
        return self._cursors.page("categories", rows, limit, lambda row: row.id, Category.model_validate)

    async def change_category(self, category_id: UUID, change: CategoryChange) -> Category:
        row = await categories.update(self._primary, category_id, change.model_dump(exclude_unset=True))
        return Category.model_validate(row)

    async def add(self, new: NewProduct) -> Product:
        product_id = uuid7()
        await repository.insert(self._primary, [_columns(product_id, new)])
        return await self.read(product_id)

    async def add_many(self, many: ProductImport) -> Imported:
        created = await repository.insert(self._primary, [_columns(uuid7(), new) for new in many.products])
        return Imported(created=created)

    async def read(self, product_id: UUID) -> Product:
        rows = await repository.find(self._primary, [product_id])
        if not rows:
            raise repository.unknown_product(product_id)
        return _show(rows[0])

    async def read_many(self, ids: list[UUID]) -> Page[Product]:
        """Those of `ids` that exist, as they are now."""
        return Page(items=[_show(row) for row in await repository.find(self._primary, ids)], next_cursor=None)

    async def list(self, category_id: UUID | None, limit: int, cursor: str | None) -> Page[Product]:
        scope = f"products {category_id}"
        after = self._cursors.read(scope, cursor)
        rows = await repository.list_after(self._replica, category_id, after, limit + 1)
        return self._cursors.page(scope, rows, limit, lambda row: row.id, _show)

    async def change(self, product_id: UUID, change: ProductChange) -> Product:
        if not await repository.update(self._primary, {"id": product_id, **change.model_dump()}):
            raise repository.unknown_product(product_id)
        return await self.read(product_id)

    async def set_price(self, product_id: UUID, price: NewPrice) -> Product:
        if not await repository.set_price(self._primary, product_id, price.amount, price.currency):
            raise repository.unknown_product(product_id)
        return await self.read(product_id)

    async def receive_goods(self, product_id: UUID, pieces: int) -> Product:
        if not await repository.receive_goods(self._primary, product_id, pieces):
            raise repository.unknown_product(product_id)
        return await self.read(product_id)

    async def delete(self, product_id: UUID) -> None:
        if not await repository.delete(self._primary, product_id):
            raise repository.unknown_product(product_id)

    async def reserve(self, wanted: NewReservation) -> Reservation:
        lines = await reservations.reserve(self._primary, wanted)
        return Reservation.model_validate({"order_id": wanted.order_id, "lines": lines})

    async def commit(self, order_id: UUID) -> None:
        await reservations.commit(self._primary, order_id)

    async def release(self, order_id: UUID) -> None:
        await reservations.release(self._primary, order_id)
