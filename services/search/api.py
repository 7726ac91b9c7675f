"""The HTTP surface of the search. Decides nothing: it names the routes and their parameters, and asks the service.

Anyone may search. A caller with a token is known, and the events of searches and clicks say who it was.
"""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, FastAPI, Header, Query

from services.kit.auth import known
from services.kit.http import Wiring, application
from services.kit.principal import Principal
from services.kit.problem import declared
from services.kit.state import from_state
from services.search.schemas import (
    Click,
    DeepPage,
    DeepQuery,
    SearchQuery,
    SearchResult,
    Suggestions,
    SuggestQuery,
)
from services.search.service import Search

router = APIRouter(tags=["search"])


Service = Annotated[Search, from_state("service")]
Caller = Annotated[Principal | None, known()]
SessionId = Annotated[
    str | None,
    Header(alias="X-Session-Id", pattern=r"^[A-Za-z0-9_-]{1,64}$", description="ties searches and clicks together"),
]


def _who(caller: Principal | None) -> UUID | None:
    return UUID(caller.subject) if caller is not None and caller.kind == "user" else None


@router.get("/search")
async def search(
    asked: Annotated[SearchQuery, Query()], service: Service, caller: Caller, session: SessionId = None
) -> SearchResult:
    """Products that are for sale, with the counts of what could be chosen further; a moment behind the catalogue."""
    return await service.search(asked, session, _who(caller))


@router.get("/search/all", responses=declared(410), dependencies=[known()])
async def search_all(asked: Annotated[DeepQuery, Query()], service: Service) -> DeepPage:
    """All hits of a search, some at a time, as they were when the first were asked for."""
    return await service.all(asked)


@router.get("/suggest", dependencies=[known()])
async def suggest(asked: Annotated[SuggestQuery, Query()], service: Service) -> Suggestions:
    """Products, brands and categories that the text so far may become."""
    return await service.suggest(asked)


@router.post("/clicks", status_code=202, response_model=None)
async def click(chosen: Click, service: Service, caller: Caller, session: SessionId = None) -> None:
    """Tell that a hit was chosen. It is taken for analytics and may be lost; nothing depends on it."""
    service.chosen(chosen, session, _who(caller))


def build(wiring: Wiring | None = None) -> FastAPI:
    """The app; without wiring only its description."""
    return application("search", router, wiring, strict=True)
