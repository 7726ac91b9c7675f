"""`python -m services.payments.sandbox`: serve the sandbox provider on 127.0.0.1:$PORT."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, closing
from pathlib import Path

from fastapi import FastAPI
from pydantic import Field

from services.kit.settings import Settings
from services.kit.start import Check, start
from services.payments.sandbox.api import Desk, build
from services.payments.sandbox.book import Book


class SandboxSettings(Settings):
    home: Path = Field(
        default=Path(".millrace"), validation_alias="MILLRACE_HOME", description="folder of the stack's state"
    )


@asynccontextmanager
async def wiring(app: FastAPI, settings: SandboxSettings) -> AsyncIterator[Mapping[str, Check]]:
    with closing(Book(settings.home / "payment-provider" / "book.sqlite")) as book:
        app.state.desk = Desk(book)
        yield {}


if __name__ == "__main__":
    start("payment-provider", SandboxSettings, build, wiring)
