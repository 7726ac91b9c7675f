"""What routes say about who may call them: found, required at start-up, and shown in the OpenAPI document.

The kinds of declarations are in `services.kit.auth`; this module only reads them.
"""

from collections.abc import Iterator, Sequence
from typing import Any, ClassVar

from fastapi import FastAPI
from fastapi.routing import APIRoute
from starlette.routing import BaseRoute, Route

from services.kit.problem import declared

REQUIRED = "x-required"
"""In a header's JSON Schema: the route wants it, though FastAPI lets a request without it through to a better answer
than 422."""


class UndeclaredRoute(RuntimeError):
    """A route does not say who may call it: a fault of the code, found at start-up."""


class Access:
    """What a route declares. Its subclasses are FastAPI dependencies."""

    callers: Sequence[str] = ("anyone",)
    """As shown in the document: roles, `own:<path member>`, `anyone`."""
    refusals: ClassVar[tuple[int, ...]] = (401, 403, 429)
    """Statuses with which it refuses."""
    optional: ClassVar[bool] = False
    """Whether a call without a token is fine too."""


def routes_of(routes: Sequence[BaseRoute]) -> Iterator[Route]:
    """All routes, those of included routers too."""
    for route in routes:
        included = getattr(route, "original_router", None)
        if included is not None:
            yield from routes_of(included.routes)
        elif isinstance(route, Route):
            yield route


def access_of(route: Route) -> Access | None:
    """What the route declares, None when it does not."""
    if not isinstance(route, APIRoute):
        return getattr(route.endpoint, "access", None)
    dependencies: list[object] = [needed.call for needed in route.dependant.dependencies]
    return next((call for call in dependencies if isinstance(call, Access)), None)


def require_declarations(app: FastAPI) -> None:
    """Raises UndeclaredRoute naming the routes that do not say who may call them."""
    frameworks = {app.openapi_url, app.docs_url, app.redoc_url, app.swagger_ui_oauth2_redirect_url}
    silent = sorted(r.path for r in routes_of(app.routes) if r.path not in frameworks and access_of(r) is None)
    if silent:
        raise UndeclaredRoute(f"who may call {', '.join(silent)}? Declare it with allow(), known() or anyone()")


def describe(app: FastAPI, document: dict[str, Any]) -> None:
    """Say in the document who may call each operation (`x-callers`), and with what others are refused."""
    declarations = {route.name: access for route in routes_of(app.routes) if (access := access_of(route))}
    for operation in (found for path in document["paths"].values() for found in path.values()):
        for parameter in operation.get("parameters", []):
            if parameter["schema"].pop(REQUIRED, False):
                parameter["required"] = True
        access = declarations.get(operation.get("operationId", ""))
        if access is None or not access.refusals:
            continue
        operation["x-callers"] = list(access.callers)
        if access.optional:
            operation["security"].append({})
        responses = {str(status): answer for status, answer in declared(*access.refusals).items()}
        operation["responses"] = dict(sorted((responses | operation["responses"]).items()))
