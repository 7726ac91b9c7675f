"""The HTTP surface of analytics: events in, numbers out. Every answer says as of when it is and how long it may be kept."""

import hashlib
from typing import Annotated

from fastapi import APIRouter, Depends, FastAPI, Header, Query
from starlette.responses import Response

from services.analytics.events import MAX_BODY_BYTES, Accepted, EventBatch
from services.analytics.recorder import Recorder
from services.analytics.recording import of_caller, record
from services.analytics.schemas import (
    Cohorts,
    CohortsQuery,
    Customers,
    Funnel,
    FunnelQuery,
    NoParameters,
    Revenue,
    RevenueQuery,
    TopProducts,
    TopProductsQuery,
)
from services.analytics.service import BUILD_SECONDS, Analytics
from services.kit.auth import allow, known
from services.kit.http import Wiring, application
from services.kit.principal import Principal, Role
from services.kit.state import from_state

router = APIRouter(tags=["events"])
numbers = APIRouter(
    tags=["numbers"],
    dependencies=[allow(Role.ANALYST, Role.SUPPORT, Role.OPERATOR, Role.ADMIN)],
    responses={304: {"description": "Not Modified"}},
)


Recording = Annotated[Recorder, from_state("recorder")]
Service = Annotated[Analytics, from_state("service")]
IfNoneMatch = Annotated[str | None, Header(max_length=1000, description="ETag of an answer that is at hand")]


class Conditional:
    """Answers with the ETag of what is answered, or 304 when the caller has it already."""

    def __init__(self, if_none_match: IfNoneMatch = None) -> None:
        self._at_hand = {tag.strip().removeprefix("W/") for tag in (if_none_match or "").split(",")}

    def __call__(self, body: bytes) -> Response:
        tag = f'"{hashlib.sha256(body).hexdigest()[:32]}"'
        headers = {"ETag": tag, "Cache-Control": f"private, max-age={BUILD_SECONDS}"}
        if self._at_hand & {tag, "*"}:
            return Response(status_code=304, headers=headers)
        return Response(body, media_type="application/json", headers=headers)


Answer = Annotated[Conditional, Depends()]


@router.post("/events", status_code=202)
async def take_events(batch: EventBatch, caller: Annotated[Principal | None, known()], recorder: Recording) -> Accepted:
    """Record up to 500 events, all or none. Answered when they are safe; they are counted once per `event_id`.

    Anyone may tell what they did. Only a token says who they are: events of a user are the user's own.
    """
    return Accepted.model_validate({"event_ids": await record(recorder, of_caller(batch, caller))})


@numbers.get("/revenue", response_model=Revenue)
async def read_revenue(query: Annotated[RevenueQuery, Query()], analytics: Service, answer: Answer) -> Response:
    """Revenue over time in one currency."""
    return answer(await analytics.revenue(query))


@numbers.get("/products/top", response_model=TopProducts)
async def read_top_products(
    query: Annotated[TopProductsQuery, Query()], analytics: Service, answer: Answer
) -> Response:
    """What sold most."""
    return answer(await analytics.top_products(query))


@numbers.get("/funnel", response_model=Funnel)
async def read_funnel(query: Annotated[FunnelQuery, Query()], analytics: Service, answer: Answer) -> Response:
    """How many sessions viewed a product, then filled a cart, then ordered."""
    return answer(await analytics.funnel(query))


@numbers.get("/cohorts", response_model=Cohorts)
async def read_cohorts(query: Annotated[CohortsQuery, Query()], analytics: Service, answer: Answer) -> Response:
    """Customers by the month of their first order, and who of them came back."""
    return answer(await analytics.cohorts(query))


@numbers.get("/customers", response_model=Customers)
async def read_customers(query: Annotated[NoParameters, Query()], analytics: Service, answer: Answer) -> Response:
    """How many customers there are, of which kind."""
    return answer(await analytics.customers(query))


def build(wiring: Wiring | None = None) -> FastAPI:
    """The app; without wiring only its description."""
    routes = APIRouter()
    routes.include_router(router)
    routes.include_router(numbers)
    return application("analytics", routes, wiring, max_body_bytes=MAX_BODY_BYTES, strict=True)
