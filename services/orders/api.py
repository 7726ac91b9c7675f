"""The HTTP surface of orders. Decides nothing: it names routes, statuses and types, and asks the service."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Depends, FastAPI, Request

from services.kit.http import Wiring, application
from services.kit.pagination import Cursor, Limit, Page
from services.kit.problem import declared
from services.orders.schemas import NewOrder, Order
from services.orders.service import Orders

router = APIRouter(tags=["orders"])


async def service(request: Request) -> Orders:
    orders: Orders = request.app.state.service
    return orders


Service = Annotated[Orders, Depends(service)]


@router.post("/orders", status_code=201, responses=declared(402, 409, 502))
async def place_order(new: NewOrder, orders: Service) -> Order:
    """Reserve, pay and confirm. On an error everything is undone; `order_id` in the problem names the FAILED order."""
    return await orders.place(new)


@router.get("/orders")
async def list_orders(
    orders: Service, user_id: UUID | None = None, limit: Limit = 50, cursor: Cursor = None
) -> Page[Order]:
    """Orders of one user or of all, in the order of their placing; may be a moment behind."""
    return await orders.list(user_id, limit, cursor)


@router.get("/orders/{order_id}", responses=declared(404))
async def read_order(order_id: UUID, orders: Service) -> Order:
    return await orders.read(order_id)


@router.post("/orders/{order_id}/cancel", responses=declared(404, 409, 502))
async def cancel_order(order_id: UUID, orders: Service) -> Order:
    """Restock and refund a CONFIRMED order. Can be repeated."""
    return await orders.cancel(order_id)


def build(wiring: Wiring | None = None) -> FastAPI:
    """The orders app; without `wiring` it can only describe itself."""
    return application("orders", router, wiring)
