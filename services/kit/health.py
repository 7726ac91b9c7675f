"""GET /livez and /readyz: whether the process runs, and whether it should get requests.

/readyz asks everything in `app.state.checks`: 200 when all answer, 503 naming what does not, 503 while draining. A check
that returns a sentence is told as it is and does not make the service unready.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from functools import cache

from fastapi import APIRouter, Request
from pydantic import BaseModel
from starlette.responses import JSONResponse

from services.kit import migrate
from services.kit.auth import unlimited
from services.kit.pool import Pool

Check = Callable[[], Awaitable[str | None]]
"""Returns None or a remark; raises when the service cannot work."""

health = APIRouter(tags=["health"], dependencies=[unlimited()])


class NotMigrated(Exception):
    """The database lacks migrations that this code was written for."""


@dataclass(frozen=True, slots=True)
class _Applied:
    name: str


class Liveness(BaseModel):
    status: str


class Readiness(BaseModel):
    status: str
    checks: dict[str, str]


@health.get("/livez", operation_id="livez")
async def livez() -> Liveness:
    """The process runs."""
    return Liveness(status="ok")


@health.get("/readyz", operation_id="readyz", responses={503: {"model": Readiness}})
async def readyz(request: Request) -> Readiness:
    """Everything that the service needs answers, and it is not about to stop."""
    checks: Mapping[str, Check] = request.app.state.checks
    answers = await asyncio.gather(*(check() for check in checks.values()), return_exceptions=True)
    states = {
        name: f"failed: {type(answer).__name__}" if isinstance(answer, BaseException) else answer or "ok"
        for name, answer in zip(checks, answers, strict=True)
    }
    failed = any(isinstance(answer, BaseException) for answer in answers)
    draining = getattr(request.app.state, "draining", False)
    ready = Readiness(status="draining" if draining else "failed" if failed else "ok", checks=states)
    if ready.status != "ok":
        return JSONResponse(ready.model_dump(), 503)  # type: ignore[return-value]
    return ready


async def at_migrations_head(name: str, pool: Pool) -> None:
    """Raise NotMigrated when the database of service `name` lacks a file of its folder or of the kit's."""
    applied = await pool.all(
        _Applied,
        """SELECT name FROM service.schema_migrations UNION ALL SELECT %s || '/' || name FROM service.kit_migrations""",
        [migrate.KIT],
    )
    if missing := _wanted(name) - {row.name for row in applied}:
        raise NotMigrated(f"{', '.join(sorted(missing))}: run `python -m services.kit.migrate {name}`")


@cache
def _wanted(name: str) -> frozenset[str]:
    """The migrations' names as they were when this process first asked."""
    own, kit = (migrate.read(migrate.SERVICES / folder / "migrations") for folder in (name, migrate.KIT))
    return frozenset([*(file.name for file in own), *(f"{migrate.KIT}/{file.name}" for file in kit)])
