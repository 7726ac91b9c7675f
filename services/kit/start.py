"""How a service's process begins: its settings are read, what most services need is opened, and it is served.

A service's `__main__` says what is its own: its settings, and a wiring that opens the rest.

    @asynccontextmanager
    async def wiring(app: FastAPI, settings: ShopSettings) -> AsyncIterator[Mapping[str, Check]]:
        async with opened(app, "shop", settings, settings.dsn) as (database, checks):
            app.state.service = Shop(database.primary)
            yield checks

    if __name__ == "__main__":
        start("shop", ShopSettings, build, wiring)
"""

from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import TypeVar

from fastapi import FastAPI

from services.kit.db import Database, connect
from services.kit.door import door
from services.kit.health import Check
from services.kit.http import Wiring, serve
from services.kit.settings import GuardedSettings, Settings, load

__all__ = ["Check", "opened", "start"]

S = TypeVar("S", bound=Settings)


def start(
    name: str,
    settings: type[S],
    build: Callable[[Wiring], FastAPI],
    wiring: Callable[[FastAPI, S], AbstractAsyncContextManager[Mapping[str, Check]]],
) -> None:
    """Serve the app that `build` makes until SIGTERM. A faulty setting ends the process with one line (status 2)."""
    loaded = load(settings)
    serve(name, build(lambda app: wiring(app, loaded)), loaded.port)


@asynccontextmanager
async def opened(
    app: FastAPI, name: str, settings: GuardedSettings, dsn: str, replica_dsn: str | None = None
) -> AsyncIterator[tuple[Database, Mapping[str, Check]]]:
    """The database of service `name` and the readiness checks so far; callers are known.

    Puts `database` into the app's state, and what the door puts there.
    """
    async with (
        connect(name, dsn, replica_dsn) as database,
        door(app, settings.sessions_url, settings.redis_url) as keys,
    ):
        app.state.database = database
        yield database, {**database.checks(), **keys}
