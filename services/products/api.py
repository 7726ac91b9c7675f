"""The HTTP surface of the catalogue. Decides nothing: it names routes, statuses and types, and asks the service."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Depends, FastAPI, Query, Request

from services.kit.http import Wiring, application
from services.kit.pagination import MAX_LIMIT, Cursor, Limit, Page
from services.kit.problem import declared
from services.products.schemas import (
    MAX_LINES,
    Category,
    CategoryChange,
    GoodsReceived,
    Imported,
    NewCategory,
    NewPrice,
    NewProduct,
    NewReservation,
    Product,
    ProductChange,
    ProductImport,
    Reservation,
)
from services.products.service import Products

# An import of 500 products, each with the longest description.
MAX_BODY_BYTES = 8 * 1024 * 1024

router = APIRouter()


async def service(request: Request) -> Products:
    products: Products = request.app.state.service
    return products


Service = Annotated[Products, Depends(service)]


@router.post("/categories", status_code=201, tags=["categories"], responses=declared(409))
async def add_category(new: NewCategory, products: Service) -> Category:
    return await products.add_category(new)


@router.get("/categories", tags=["categories"])
async def list_categories(products: Service, limit: Limit = MAX_LIMIT, cursor: Cursor = None) -> Page[Category]:
    """All categories with their paths; may be a moment behind."""
    return await products.list_categories(limit, cursor)


@router.patch("/categories/{category_id}", tags=["categories"], responses=declared(404))
async def change_category(category_id: UUID, change: CategoryChange, products: Service) -> Category:
    """Rename or move a category; the paths of everything below it follow at once."""
    return await products.change_category(category_id, change)


@router.post("/products", status_code=201, tags=["products"], responses=declared(409))
async def add_product(new: NewProduct, products: Service) -> Product:
    return await products.add(new)


@router.post("/products:import", status_code=201, tags=["products"], responses=declared(409))
async def import_products(many: ProductImport, products: Service) -> Imported:
    """Add up to 500 products, all or none."""
    return await products.add_many(many)


@router.get("/products", tags=["products"])
async def list_products(
    products: Service,
    category_id: UUID | None = None,
    product_ids: Annotated[
        list[UUID] | None,
        Query(alias="id", max_length=MAX_LINES, description="exactly these, as they are now, on one page"),
    ] = None,
    limit: Limit = 50,
    cursor: Cursor = None,
) -> Page[Product]:
    """Products of one category (not of those below it) or of all, oldest first; may be a moment behind."""
    if product_ids:
        return await products.read_many(product_ids)
    return await products.list(category_id, limit, cursor)


@router.get("/products/{product_id}", tags=["products"], responses=declared(404))
async def read_product(product_id: UUID, products: Service) -> Product:
    return await products.read(product_id)


@router.patch("/products/{product_id}", tags=["products"], responses=declared(404))
async def change_product(product_id: UUID, change: ProductChange, products: Service) -> Product:
    return await products.change(product_id, change)


@router.delete("/products/{product_id}", status_code=204, tags=["products"], responses=declared(404))
async def delete_product(product_id: UUID, products: Service) -> None:
    """Delete a product with its price and stock. Orders and reservations keep its id."""
    await products.delete(product_id)


@router.put("/products/{product_id}/price", tags=["products"], responses=declared(404))
async def set_price(product_id: UUID, price: NewPrice, products: Service) -> Product:
    return await products.set_price(product_id, price)


@router.post("/products/{product_id}/stock", tags=["products"], responses=declared(404))
async def receive_goods(product_id: UUID, goods: GoodsReceived, products: Service) -> Product:
    """Goods came in: `delta` pieces more are available."""
    return await products.receive_goods(product_id, goods.delta)


@router.post("/reservations", status_code=201, tags=["reservations"], responses=declared(409))
async def reserve(wanted: NewReservation, products: Service) -> Reservation:
    """Hold stock for an order, all lines or none. The same order again gets the same answer."""
    return await products.reserve(wanted)


@router.post("/reservations/{order_id}/commit", status_code=204, tags=["reservations"])
async def commit_reservation(order_id: UUID, products: Service) -> None:
    """What is held for the order is sold. Can be repeated."""
    await products.commit(order_id)


@router.post("/reservations/{order_id}/release", status_code=204, tags=["reservations"])
async def release_reservation(order_id: UUID, products: Service) -> None:
    """What is held for or sold to the order is available again. Can be repeated; does nothing when there is nothing."""
    await products.release(order_id)


def build(wiring: Wiring | None = None) -> FastAPI:
    """The products app; without `wiring` it can only describe itself."""
    return application("products", router, wiring, max_body_bytes=MAX_BODY_BYTES)
