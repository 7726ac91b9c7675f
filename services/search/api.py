"""The HTTP surface of the search. Decides nothing: it names the route and its parameters, and asks the service."""

from typing import Annotated

from fastapi import APIRouter, Depends, FastAPI, Query, Request

from services.kit.http import Wiring, application
from services.search.schemas import SearchQuery, SearchResult
from services.search.service import Search

router = APIRouter()


async def service(request: Request) -> Search:
    """The service that the wiring made."""
    search: Search = request.app.state.service
    return search


@router.get("/search", tags=["search"])
async def search(asked: Annotated[SearchQuery, Query()], service: Annotated[Search, Depends(service)]) -> SearchResult:
    """Products that are for sale, with the counts of what could be chosen further; a moment behind the catalogue."""
    return await service.search(asked)


def build(wiring: Wiring | None = None) -> FastAPI:
    """The app; without wiring only its description."""
    return application("search", router, wiring)
