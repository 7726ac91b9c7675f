"""The server that `bench.api` measures: ``python -m bench.api_server products|bare PORT``.

`products` is the products service as it is served, with three routes beside: one that answers nothing but its length, one
whose L1 keeps nothing, and one that reads the replica. `bare` has the empty route alone, without ids, limits and logs.
"""

import os
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from uuid import UUID

from fastapi import FastAPI
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from services.kit import cache_shared
from services.kit.auth import open_to_anyone
from services.kit.cache import Lifetimes
from services.kit.db import connect
from services.kit.http import Check, serve
from services.kit.pagination import Cursors
from services.products import api, cached, repository
from services.products.service import Products

_NOTHING = Response(b"", media_type="application/json")


@open_to_anyone
async def _empty(_: Request) -> Response:
    return _NOTHING


@open_to_anyone
async def _second_level(request: Request) -> Response:
    answer = await request.app.state.second_level.get(request.path_params["product_id"])
    return _NOTHING if answer is None else answer.to(request)


@open_to_anyone
async def _database(request: Request) -> Response:
    product = await request.app.state.service.read(UUID(request.path_params["product_id"]))
    return cached.Answer(cached.dump(product)).to(request)


@open_to_anyone
async def _replica(request: Request) -> Response:
    rows = await repository.find(request.app.state.replica, [UUID(request.path_params["product_id"])])
    return Response(str(rows[0].sku).encode(), media_type="application/json")


@asynccontextmanager
async def _wiring(app: FastAPI) -> AsyncIterator[Mapping[str, Check]]:
    dsn = os.environ["PRODUCTS_DSN"]
    async with (
        connect("bench", dsn, os.environ["PRODUCTS_REPLICA_DSN"]) as database,
        cache_shared.connect(os.environ["REDIS_URL"]) as redis,
    ):
        app.state.service = service = Products(database.primary, database.replica, Cursors(dsn))
        app.state.replica = database.replica
        app.state.products = cached.products(redis, service)
        app.state.second_level = cached.products(redis, service, lifetimes=Lifetimes(near=(0.0, 0.0)))
        async with app.state.products.following():
            yield database.checks()


def main(kind: str, port: int) -> None:
    empty = Route("/empty", _empty)
    if kind == "bare":
        serve("bench", FastAPI(routes=[empty], openapi_url=None), port)
        return
    app = api.build(_wiring)
    routes = [("second-level", _second_level), ("database", _database), ("replica", _replica)]
    app.router.routes[1:1] = [empty, *(Route(f"/{name}/{{product_id}}", endpoint) for name, endpoint in routes)]
    serve("bench", app, port)


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
