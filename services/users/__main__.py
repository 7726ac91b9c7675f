"""`python -m services.users`: wire the users service and serve it on 127.0.0.1:$PORT."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager

from fastapi import FastAPI
from pydantic import Field

from services.kit.db import connect
from services.kit.http import Check, serve
from services.kit.pagination import Cursors
from services.kit.settings import Dsn, Settings, load
from services.users.api import build
from services.users.service import Users


class UsersSettings(Settings):
    dsn: Dsn = Field(validation_alias="USERS_DSN", description="address of the users database, as its owner")
    replica_dsn: Dsn | None = Field(
        default=None, validation_alias="USERS_REPLICA_DSN", description="address of its replica, for lists"
    )


def main() -> None:
    settings = load(UsersSettings)

    @asynccontextmanager
    async def wiring(app: FastAPI) -> AsyncIterator[Mapping[str, Check]]:
        async with connect("users", settings.dsn, settings.replica_dsn) as database:
            app.state.service = Users(database.primary, database.replica, Cursors(settings.dsn))
            yield {"database": database.primary.answers}

    serve("users", build(wiring), settings.port)


if __name__ == "__main__":
    main()
