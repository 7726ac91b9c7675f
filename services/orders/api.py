"""The HTTP surface of orders. Decides nothing: it names routes, who may call them, statuses and types."""

from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, FastAPI, Path, Query, Response

from services.kit import idempotency
from services.kit.auth import allow, require_own
from services.kit.http import Wiring, application
from services.kit.pagination import Cursor, Limit, Page
from services.kit.principal import STAFF, Principal, Role
from services.kit.problem import declared
from services.kit.state import from_state
from services.orders.sagas import Saga, SagaDetail, SagaList
from services.orders.schemas import NewOrder, Order
from services.orders.service import Orders

router = APIRouter(tags=["orders"])
operators = APIRouter(tags=["operators"], dependencies=[allow(Role.OPERATOR, Role.ADMIN)])


Service = Annotated[Orders, from_state("service")]


_LATER: dict[int | str, dict[str, Any]] = {202: {"model": Order, "description": "not ended yet; `Location` will say"}}
_SAGA_ID = r"^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}(:[a-z]{1,20})?$"
SagaId = Annotated[str, Path(max_length=60, pattern=_SAGA_ID, description="the order's id, or it with :cancel")]


# A customer may, with what is the customer's own; which that is, the handlers say.
Buyer = Annotated[Principal, allow(Role.CUSTOMER, Role.OPERATOR, Role.ADMIN)]
Reader = Annotated[Principal, allow(Role.CUSTOMER, *sorted(STAFF))]
OVER_ALL = (Role.OPERATOR, Role.ADMIN)


def _answer(order: Order, ended: bool, status: int = 200) -> Response:
    if ended:
        return idempotency.reply(status, order).response()
    later = {"Location": f"/orders/{order.id}", "Retry-After": "2"}
    return idempotency.reply(202, order, **later).response()


@router.post(
    "/orders",
    status_code=201,
    response_model=Order,
    responses={**idempotency.RESPONSES, **_LATER, **declared(402, 409, 502)},
)
async def place_order(new: NewOrder, caller: Buyer, orders: Service, once: idempotency.Required) -> Response:
    """Reserve, pay and confirm. On an error everything is undone; `order_id` in the problem names the FAILED order.

    202 when that takes longer than a caller can wait: the order is PENDING, its saga goes on, and a repetition with the
    same Idempotency-Key gets 409 until it has ended, then its reply.
    """
    require_own(caller, new.user_id, *OVER_ALL)
    if (stored := await once.recall()) is not None:
        return stored
    return _answer(*await orders.place(new, once.key), status=201)


@router.get("/orders")
async def list_orders(
    orders: Service, caller: Reader, user_id: UUID | None = None, limit: Limit = 50, cursor: Cursor = None
) -> Page[Order]:
    """Orders in the order of their placing; may be a moment behind. A customer's own; for staff, one user's or all."""
    if not caller.has(*STAFF):
        user_id = UUID(caller.subject) if user_id is None else user_id
        require_own(caller, user_id)
    return await orders.list(user_id, limit, cursor)


@router.get("/orders/{order_id}", responses=declared(404))
async def read_order(order_id: UUID, caller: Reader, orders: Service) -> Order:
    order = await orders.read(order_id)
    require_own(caller, order.user_id, *STAFF)
    return order


@router.post("/orders/{order_id}/cancel", response_model=Order, responses={**_LATER, **declared(404, 409, 502)})
async def cancel_order(order_id: UUID, caller: Buyer, orders: Service) -> Response:
    """Undo an order that is being placed; restock and refund a CONFIRMED one. Can be repeated."""
    require_own(caller, (await orders.read(order_id)).user_id, *OVER_ALL)
    return _answer(*await orders.cancel(order_id))


@operators.get("/sagas")
async def list_sagas(
    orders: Service,
    limit: Annotated[int, Query(ge=1, le=500)] = 100,
    ended: Annotated[bool, Query(description="also those that have ended, newest first")] = False,
) -> SagaList:
    """Sagas that have not ended, oldest first."""
    return SagaList(items=list(await orders.find_sagas(only_open=not ended, limit=limit)))


@operators.get("/sagas/{saga_id}", responses=declared(404))
async def read_saga(saga_id: SagaId, orders: Service) -> SagaDetail:
    """A saga with the steps that have an answer."""
    return await orders.saga(saga_id)


@operators.post("/sagas/{saga_id}/retry", status_code=202, responses=declared(404, 409))
async def retry_saga(saga_id: SagaId, orders: Service) -> Saga:
    """Have a process that is alive take the saga up at its first step without an answer."""
    return await orders.retry_saga(saga_id)


@operators.post("/sagas/{saga_id}/cancel", response_model=Order, responses={**_LATER, **declared(404, 409, 502)})
async def cancel_saga(saga_id: SagaId, orders: Service) -> Response:
    """Cancel the saga's order, which undoes what was done; the engine's own cancel would not."""
    return _answer(*await orders.cancel(UUID(saga_id[:36])))


def build(wiring: Wiring | None = None) -> FastAPI:
    """The orders app; without `wiring` it can only describe itself."""
    routes = APIRouter()
    routes.include_router(router)
    routes.include_router(operators)
    return application("orders", routes, wiring, strict=True)
