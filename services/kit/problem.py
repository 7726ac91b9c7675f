"""Errors as RFC 9457 problem documents with a stable `type`; the one place that turns an exception into an answer.

    ProblemError
    ├── Malformed        400  the body is not JSON
    │   └── MalformedHeader   a header is not what it should be
    ├── Unauthorized     401  no token, or not one that holds (services.kit.tokens)
    ├── Forbidden        403  not for this caller (services.kit.auth)
    ├── NotFound         404  no such thing
    ├── Conflict         409  the thing's state forbids it
    ├── TooLarge         413  the body is over the limit
    ├── Unprocessable    422  well-formed, but not acceptable (data)
    │   ├── RuleBroken        each member is right by itself, but not with the others, or not now
    │   ├── UnknownReference  a member names what is not there
    │   └── InvalidCursor     not a cursor that this list gave
    ├── HeadersTooLarge  431  too many headers, or too long ones
    ├── TooManyRequests  429  over a rate limit (services.kit.rate_limits)
    ├── Unexpected       500  a fault of ours
    └── Unavailable      503  something we need did not answer (transient: try again)
        └── TimedOut          the request took longer than it may

docs/services/kit.md lists every slug, those of the services too; a test compares the two.

Refuses to show internals: no SQL, no trace, no input is echoed.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http import HTTPStatus
from typing import Any, ClassVar

import orjson
import psycopg
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel, Field
from redis.exceptions import RedisError
from starlette.exceptions import HTTPException
from starlette.responses import Response

MEDIA_TYPE = "application/problem+json"
# Enough to mend a form; a body with thousands of faults must not make a reply of megabytes.
_MAX_FAULTS = 20
_MAX_NAME = 200

RULE = "rule"
"""Type of a validator's error that JSON Schema could not have told (`services.kit.schema.broken`)."""


class ProblemError(Exception):
    """An error whose answer is known. `members` are extension members of the document, JSON values only."""

    status: ClassVar[int] = 500
    slug: ClassVar[str] = "unexpected"
    retry_after_s: int | None = None
    """Told to the caller when the same request may succeed later."""

    def __init__(self, detail: str, **members: object) -> None:
        super().__init__(detail)
        self.detail = detail
        self.members = members

    def document(self, request_id: str | None) -> dict[str, object]:
        return {
            "type": f"urn:millrace:problem:{self.slug}",
            "title": self.slug.replace("-", " ").capitalize(),
            "status": self.status,
            "detail": self.detail,
            "request_id": request_id,
            **self.members,
        }

    def headers(self) -> dict[str, str]:
        """Headers of the answer besides its type."""
        return {} if self.retry_after_s is None else {"Retry-After": str(self.retry_after_s)}


class Malformed(ProblemError):
    status, slug = 400, "malformed-body"


class MalformedHeader(Malformed):
    slug = "malformed-header"


class NotFound(ProblemError):
    status, slug = 404, "not-found"


class Conflict(ProblemError):
    status, slug = 409, "conflict"


class TooLarge(ProblemError):
    status, slug = 413, "body-too-large"


class Unprocessable(ProblemError):
    status, slug = 422, "invalid-request"


class RuleBroken(Unprocessable):
    slug = "rule-broken"


class UnknownReference(Unprocessable):
    slug = "unknown-reference"


class InvalidCursor(Unprocessable):
    slug = "invalid-cursor"


class HeadersTooLarge(ProblemError):
    status, slug = 431, "headers-too-large"


class Unexpected(ProblemError):
    status, slug = 500, "unexpected"


class Unavailable(ProblemError):
    status, slug = 503, "unavailable"
    retry_after_s = 1


class TimedOut(Unavailable):
    slug = "timed-out"


class Refused(HTTPException):
    """A problem found while the body is read. FastAPI lets nothing but its own exception pass through there."""

    def __init__(self, problem: ProblemError) -> None:
        super().__init__(problem.status, problem.detail)
        self.problem = problem


class _OtherHttp(ProblemError):
    """Starlette's own refusals (no such route, method not allowed): their status is only known when they happen."""

    def __init__(self, error: HTTPException) -> None:
        super().__init__(str(error.detail))
        phrase = HTTPStatus(error.status_code).phrase
        self.status = error.status_code  # type: ignore[misc]
        self.slug = phrase.lower().replace(" ", "-")  # type: ignore[misc]
        self._headers = dict(error.headers or {})

    def headers(self) -> dict[str, str]:
        """The framework's own, such as Allow."""
        return self._headers


class FaultyField(BaseModel):
    field: str = Field(description="where it is, such as body.items.0.quantity")
    message: str


class Problem(BaseModel):
    """The document as OpenAPI shows it."""

    type: str = Field(description="stable name of the kind of problem, urn:millrace:problem:<kind>")
    title: str
    status: int
    detail: str = Field(description="what is wrong and what to do, for people")
    request_id: str | None = Field(description="the request's id, as in the service's log")
    errors: list[FaultyField] | None = Field(default=None, description="the fields at fault, for invalid-request")


def from_exception(error: Exception) -> ProblemError:
    """The problem that answers any exception; whatever is not foreseen becomes Unexpected."""
    if isinstance(error, ProblemError):
        return error
    if isinstance(error, RequestValidationError):
        return _invalid(error)
    if isinstance(error, HTTPException):
        return _http(error)
    if isinstance(error, (psycopg.DataError, psycopg.errors.CheckViolation)):
        return Unprocessable("a value is outside what the database accepts")
    if isinstance(error, psycopg.IntegrityError):
        return Conflict("another row forbids this change")
    if isinstance(error, psycopg.OperationalError):
        return Unavailable("the database did not answer in time; try again")
    if isinstance(error, RedisError):
        return Unavailable("Redis did not answer in time; try again")
    return Unexpected("a fault of the service; its log has it under the request id")


def _http(error: HTTPException) -> ProblemError:
    if isinstance(error, Refused):
        return error.problem
    return Malformed("the body cannot be read as JSON") if error.status_code == 400 else _OtherHttp(error)


def _invalid(error: RequestValidationError) -> ProblemError:
    faults = error.errors()
    if any(fault["type"] == "json_invalid" for fault in faults):
        return Malformed("the body is not valid JSON")
    fields = [
        {"field": _printable(".".join(map(str, fault["loc"]))), "message": fault["msg"].removeprefix("Value error, ")}
        for fault in faults[:_MAX_FAULTS]
    ]
    kind = RuleBroken if all(fault["type"] == RULE for fault in faults) else Unprocessable
    return kind("; ".join(f"{f['field']}: {f['message']}" for f in fields[:3]), errors=fields)


def _printable(name: str) -> str:
    """A member's name as the caller wrote it, but short and valid Unicode (JSON can hold half a surrogate pair)."""
    return name[:_MAX_NAME].encode("utf-8", "replace").decode()


def response(problem: ProblemError, request_id: str | None) -> Response:
    body = orjson.dumps(problem.document(request_id), default=str)
    return Response(body, problem.status, problem.headers(), MEDIA_TYPE)


def declared(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """The `responses=` of a route that can answer with problems of these statuses."""
    schema = {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}}
    return {status: {"description": HTTPStatus(status).phrase, "content": schema} for status in statuses}


@contextmanager
def constraints(meaning: Mapping[str, ProblemError]) -> Iterator[None]:
    """Within, a violated constraint named in `meaning` raises its problem instead of the driver's error."""
    try:
        yield
    except psycopg.IntegrityError as error:
        problem = meaning.get(error.diag.constraint_name or "")
        if problem is None:
            raise
        raise problem from error
