"""The HTTP surface of the catalogue; that of stock is in stock_api.py. Names routes, who may call them, statuses
and types; decides nothing. Whoever browses needs no token; a caller with one is counted by it, not by its address."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, FastAPI, Query, Request, Response

from services.kit import conditional, idempotency
from services.kit.auth import allow, known
from services.kit.conditional import IfMatch, IfNoneMatch, etag
from services.kit.db import Transaction
from services.kit.http import Wiring, application
from services.kit.pagination import MAX_LIMIT, Cursor, Limit, Page
from services.kit.principal import Role
from services.kit.problem import RuleBroken, declared
from services.kit.state import from_state
from services.products import cached, stock_api
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
    Product,
    ProductChange,
    ProductImport,
)
from services.products.service import Products
from services.products.stock_schemas import MAX_LINES

# An import of 500 products, each with the longest description.
MAX_BODY_BYTES = 8 * 1024 * 1024

router = APIRouter()


Service = Annotated[Products, from_state("service")]

VISITORS = [known()]
MERCHANTS = [allow(Role.OPERATOR, Role.ADMIN)]
MAKING = {**idempotency.RESPONSES, **conditional.CREATED}
CHANGING = {**declared(404, 409), **conditional.GUARDED, **conditional.TAGGED}
READING = {**declared(404), **conditional.TAGGED_OR_UNCHANGED}


@router.post(
    "/categories",
    status_code=201,
    response_model=Category,
    tags=["categories"],
    responses=MAKING,
    dependencies=MERCHANTS,
)
async def add_category(new: NewCategory, products: Service, once: idempotency.Optional) -> Response:
    async def effect(transaction: Transaction) -> idempotency.Reply:
        category = await products.add_category(transaction, new)
        return idempotency.reply(201, category, etag=etag(category.version))

    return await once.run(effect)


@router.get("/categories", tags=["categories"], dependencies=VISITORS)
async def list_categories(products: Service, limit: Limit = MAX_LIMIT, cursor: Cursor = None) -> Page[Category]:
    """All categories with their paths; may be a moment behind."""
    return await products.list_categories(limit, cursor)


@router.get("/categories/{category_id}", tags=["categories"], responses=READING, dependencies=VISITORS)
async def read_category(category_id: UUID, products: Service, reader: IfNoneMatch) -> Category:
    return reader.show(await products.read_category(category_id))


@router.patch("/categories/{category_id}", tags=["categories"], responses=CHANGING, dependencies=MERCHANTS)
async def change_category(
    category_id: UUID, change: CategoryChange, products: Service, match: IfMatch, response: Response
) -> Category:
    """Rename or move a category; the paths of everything below it follow at once, and its version rises with them."""
    return conditional.tag(response, await products.change_category(category_id, change, match))


@router.post(
    "/products", status_code=201, response_model=Product, tags=["products"], responses=MAKING, dependencies=MERCHANTS
)
async def add_product(new: NewProduct, products: Service, once: idempotency.Optional) -> Response:
    async def effect(transaction: Transaction) -> idempotency.Reply:
        return cached.reply(201, await products.add(transaction, new))

    return await once.run(effect)


@router.post(
    "/products:import",
    status_code=201,
    response_model=Imported,
    tags=["products"],
    responses=idempotency.RESPONSES,
    dependencies=MERCHANTS,
)
async def import_products(many: ProductImport, products: Service, once: idempotency.Optional) -> Response:
    """Add up to 500 products, all or none."""

    async def effect(transaction: Transaction) -> idempotency.Reply:
        return idempotency.reply(201, await products.add_many(transaction, many))

    return await once.run(effect)


@router.get("/products", tags=["products"], dependencies=VISITORS)
async def list_products(
    products: Service,
    category_id: UUID | None = None,
    product_ids: Annotated[
        list[UUID] | None,
        Query(
            alias="id",
            max_length=MAX_LINES,
            description="exactly these, as they are now, on one page; without category_id and cursor",
        ),
    ] = None,
    limit: Limit = 50,
    cursor: Cursor = None,
) -> Page[Product]:
    """Products of one category (not of those below it) or of all, oldest first; may be a moment behind."""
    if product_ids:
        if cursor is not None or category_id is not None:
            raise RuleBroken("id names the products; leave out category_id and cursor")
        return await products.read_many(product_ids)
    return await products.list(category_id, limit, cursor)


@router.get(
    "/products/{product_id}", response_model=Product, tags=["products"], responses=READING, dependencies=VISITORS
)
async def read_product(product_id: UUID, products: Service, request: Request) -> Response:
    """The product with its price and stock; its ETag changes with each of them.

    May be a moment behind, unless the request says `Cache-Control: no-cache`.
    """
    return cached.Answer(cached.dump(await products.read(product_id))).to(request)


@router.patch("/products/{product_id}", tags=["products"], responses=CHANGING, dependencies=MERCHANTS)
async def change_product(
    product_id: UUID, change: ProductChange, products: Service, match: IfMatch, response: Response
) -> Product:
    return cached.tag(response, await products.change(product_id, change, match))


@router.delete(
    "/products/{product_id}",
    status_code=204,
    tags=["products"],
    responses={**declared(404), **conditional.GUARDED},
    dependencies=MERCHANTS,
)
async def delete_product(product_id: UUID, products: Service, match: IfMatch) -> None:
    """Delete a product with its price and stock. Orders and reservations keep its id."""
    await products.delete(product_id, match)


@router.put(
    "/products/{product_id}/price",
    tags=["products"],
    responses={**declared(404), **conditional.GUARDED, **conditional.TAGGED},
    dependencies=MERCHANTS,
)
async def set_price(
    product_id: UUID, price: NewPrice, products: Service, match: IfMatch, response: Response
) -> Product:
    """Set the price. The product's version rises with it."""
    return cached.tag(response, await products.set_price(product_id, price, match))


@router.get("/products/{product_id}/price-changes", tags=["products"], dependencies=VISITORS)
async def list_price_changes(
    product_id: UUID, products: Service, limit: Limit = 50, cursor: Cursor = None
) -> Page[PriceChange]:
    """Every price that the product has had, the first one first; may be a moment behind. Outlives the product."""
    return await products.list_price_changes(product_id, limit, cursor)


@router.post(
    "/groups", status_code=201, response_model=Group, tags=["groups"], responses=MAKING, dependencies=MERCHANTS
)
async def add_group(new: NewGroup, products: Service, once: idempotency.Required) -> Response:
    """A group of variants; products join it by their `group_id`."""

    async def effect(transaction: Transaction) -> idempotency.Reply:
        group = await products.add_group(transaction, new)
        return idempotency.reply(201, group, etag=etag(group.version))

    return await once.run(effect)


@router.get("/groups", tags=["groups"], dependencies=VISITORS)
async def list_groups(products: Service, limit: Limit = 50, cursor: Cursor = None) -> Page[Group]:
    """Groups, oldest first; may be a moment behind."""
    return await products.list_groups(limit, cursor)


@router.get(
    "/groups/{group_id}", response_model=GroupWithVariants, tags=["groups"], responses=READING, dependencies=VISITORS
)
async def read_group(group_id: UUID, products: Service, request: Request) -> Response:
    """The group with its variants, and the values by which they differ; its ETag changes with each of them."""
    return cached.Answer(cached.dump(await products.read_group(group_id))).to(request)


@router.patch("/groups/{group_id}", tags=["groups"], responses=CHANGING, dependencies=MERCHANTS)
async def change_group(
    group_id: UUID, change: GroupChange, products: Service, match: IfMatch, response: Response
) -> Group:
    """Rename it, or let it vary by other attributes: its products must have them and differ by them."""
    return conditional.tag(response, await products.change_group(group_id, change, match))


def build(wiring: Wiring | None = None) -> FastAPI:
    """The products app; without `wiring` it can only describe itself."""
    router_of_all = APIRouter()
    router_of_all.include_router(router)
    router_of_all.include_router(stock_api.router)
    app = application("products", router_of_all, wiring, max_body_bytes=MAX_BODY_BYTES, strict=True)
    app.router.routes.insert(0, cached.CachedRoute())
    return app
