"""The HTTP surface of stock: goods, corrections, movements, and what is held for orders. Says who may call it."""

from collections.abc import Awaitable, Callable
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Response

from services.kit import idempotency
from services.kit.auth import allow
from services.kit.db import Transaction
from services.kit.pagination import Cursor, Limit, Page
from services.kit.principal import Role
from services.kit.problem import declared
from services.kit.state import from_state
from services.products import cached
from services.products.inventory import Inventory
from services.products.schemas import Product
from services.products.service import Products
from services.products.stock_schemas import (
    GoodsReceived,
    Movement,
    NewReservation,
    Reservation,
    ReservationState,
    StockCorrection,
)

router = APIRouter()


Stock = Annotated[Inventory, from_state("inventory")]
Catalogue = Annotated[Products, from_state("service")]

MERCHANTS = [allow(Role.OPERATOR, Role.ADMIN)]
HOLDERS = [allow(Role.PRODUCTS_RESERVE)]


@router.post(
    "/products/{product_id}/stock",
    response_model=Product,
    tags=["stock"],
    responses={**declared(404), **idempotency.RESPONSES},
    dependencies=MERCHANTS,
)
async def receive_goods(
    product_id: UUID, goods: GoodsReceived, stock: Stock, products: Catalogue, once: idempotency.Required
) -> Response:
    """Goods came in: `delta` pieces more are available."""
    return await _changed(product_id, products, once, lambda within: stock.receive(within, product_id, goods.delta))


@router.post(
    "/products/{product_id}/stock-corrections",
    response_model=Product,
    tags=["stock"],
    responses={**declared(404), **idempotency.RESPONSES},
    dependencies=MERCHANTS,
)
async def correct_stock(
    product_id: UUID, correction: StockCorrection, stock: Stock, products: Catalogue, once: idempotency.Required
) -> Response:
    """Fewer or more pieces are there than thought. What is held or sold is not touched: 409 `correction-refused`."""
    return await _changed(product_id, products, once, lambda within: stock.correct(within, product_id, correction))


async def _changed(
    product_id: UUID, products: Products, once: idempotency.Once, change: Callable[[Transaction], Awaitable[None]]
) -> Response:
    """The product after the change, which is made once."""

    async def effect(transaction: Transaction) -> idempotency.Reply:
        await change(transaction)
        return cached.reply(200, await products.read(product_id, transaction))

    return await once.run(effect)


@router.get("/products/{product_id}/stock-movements", tags=["stock"], dependencies=MERCHANTS)
async def list_stock_movements(
    product_id: UUID, stock: Stock, limit: Limit = 50, cursor: Cursor = None
) -> Page[Movement]:
    """What happened to the product's pieces, oldest first; may be a moment behind. Outlives the product."""
    return await stock.list_movements(product_id, limit, cursor)


@router.post("/reservations", status_code=201, tags=["reservations"], responses=declared(409), dependencies=HOLDERS)
async def reserve(wanted: NewReservation, stock: Stock) -> Reservation:
    """Hold stock for an order, all lines or none, until `expires_at`. The same order again gets the same answer.

    409 `reservation-closed` when the order was released or its hold has expired: it needs a new order.
    """
    return await stock.reserve(wanted)


@router.get(
    "/reservations/{order_id}",
    tags=["reservations"],
    responses=declared(404),
    dependencies=[allow(Role.PRODUCTS_RESERVE, Role.OPERATOR, Role.ADMIN)],
)
async def read_reservation(order_id: UUID, stock: Stock) -> ReservationState:
    """What is held for, sold to or was given back by the order. One released before it held anything has no lines."""
    return await stock.read_reservation(order_id)


@router.post(
    "/reservations/{order_id}/commit",
    status_code=204,
    tags=["reservations"],
    responses=declared(409),
    dependencies=HOLDERS,
)
async def commit_reservation(order_id: UUID, stock: Stock) -> None:
    """What is held for the order is sold. Can be repeated. 409 `reservation-closed` when it is no longer held."""
    await stock.commit(order_id)


@router.post("/reservations/{order_id}/release", status_code=204, tags=["reservations"], dependencies=HOLDERS)
async def release_reservation(order_id: UUID, stock: Stock) -> None:
    """What is held for or sold to the order is available again, and nothing is reserved for it any more. Can be repeated."""
    await stock.release(order_id)
