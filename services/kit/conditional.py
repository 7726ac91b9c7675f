"""Conditional requests (RFC 9110): the ETag of a thing is its row's version, and who changes it must have seen it.
Of a thing that shows more than its row (a product's stock) it is the version and a digest of what is shown: `"3-9f86d081884c"`.

    GET with If-None-Match                  304 when the caller has this version already
    PUT, PATCH, DELETE without If-Match     428 precondition-required
    PUT, PATCH, DELETE with another version 412 precondition-failed

The repository compares the version in the statement that writes: between a check and a write nothing can come in.
"""

import hashlib
import re
from typing import Annotated, Any, Protocol, TypeVar

from fastapi import Depends, Header, Request, Response
from pydantic import WithJsonSchema

from services.kit.declarations import REQUIRED
from services.kit.problem import MalformedHeader, ProblemError, declared

_TAG = re.compile(r'(W/)?"([\x21\x23-\x7e]*)"')
_TAGS_SCHEMA = {"type": "string", "pattern": r'^(\*|(W/)?"[!#-+\--~]*"( ?, ?(W/)?"[!#-+\--~]*")*)$'}
_VERSION = re.compile(r"([1-9][0-9]{0,17})(-[0-9a-f]+)?")
_ETAG_HEADER = {"ETag": {"description": "the version, for If-Match and If-None-Match", "schema": {"type": "string"}}}

TAGGED: dict[int | str, dict[str, Any]] = {200: {"headers": _ETAG_HEADER}}
"""`responses=` of a GET of a versioned thing."""
TAGGED_OR_UNCHANGED: dict[int | str, dict[str, Any]] = {**TAGGED, 304: {"description": "The caller has this version"}}
CREATED: dict[int | str, dict[str, Any]] = {201: {"headers": _ETAG_HEADER}}
GUARDED: dict[int | str, dict[str, Any]] = declared(412, 428)
"""`responses=` of a route that takes `IfMatch`."""


class PreconditionRequired(ProblemError):
    status, slug = 428, "precondition-required"


class PreconditionFailed(ProblemError):
    status, slug = 412, "precondition-failed"


class NotModified(Exception):
    """The caller has what it asks for."""

    def __init__(self, etag: str) -> None:
        super().__init__(etag)
        self.etag = etag


class Versioned(Protocol):
    @property
    def version(self) -> int: ...


V = TypeVar("V", bound=Versioned)


def etag(version: int, shown: bytes | None = None) -> str:
    """The tag of a version; of what is `shown`, where that changes without the version."""
    return f'"{version}"' if shown is None else f'"{version}-{hashlib.blake2b(shown, digest_size=6).hexdigest()}"'


async def not_modified(_: Request, error: Exception) -> Response:
    """The answer to NotModified."""
    return Response(status_code=304, headers={"etag": error.etag} if isinstance(error, NotModified) else None)


def versions(header: str, *, weak: bool) -> list[int] | None:
    """The versions that a header's tags name, None for `*`. Tags that no version of ours can have are left out, and
    weak ones too unless `weak`. A digest is left out: what it tells about the row is its version; but who asks whether
    it has what is shown (`weak`) has not. Raises MalformedHeader."""
    if header.strip() == "*":
        return None
    tags = [_TAG.fullmatch(part.strip()) for part in header.split(",")]
    if None in tags:
        raise MalformedHeader('entity tags are quoted, like "3"; send the ETag as it was received')
    found = [(tag[1], _VERSION.fullmatch(tag[2])) for tag in tags if tag is not None]
    if weak:
        return [int(named[1]) for _, named in found if named and not named[2]]
    return [int(named[1]) for is_weak, named in found if named and not is_weak]


class Match:
    """The versions that the caller will have changed; any of them when it said `*`."""

    def __init__(self, expected: list[int] | None) -> None:
        self.expected = expected
        """For SQL: `%(expected)s::bigint[] IS NULL OR version = ANY(%(expected)s)`."""

    def allows(self, version: int) -> bool:
        """Whether this is a version that the caller will have changed."""
        return self.expected is None or version in self.expected

    def failed(self) -> PreconditionFailed:
        """The error for a thing that is there, in another version."""
        return PreconditionFailed("it was changed meanwhile; read it again and send the ETag that you then get")


async def _if_match(
    header: Annotated[
        str | None,
        Header(
            alias="If-Match",
            description="required: the ETag of the version to change, or *",
        ),
        WithJsonSchema({**_TAGS_SCHEMA, REQUIRED: True}),
    ] = None,
) -> Match:
    if header is None:
        raise PreconditionRequired("send If-Match with the ETag of the version that you have seen")
    return Match(versions(header, weak=False))


class Reader:
    """What the caller has already, and the response to its GET."""

    def __init__(self, known: list[int] | None, any_version: bool, response: Response) -> None:
        self._known = known or []
        self._any = any_version
        self._response = response

    def show(self, thing: V) -> V:
        """`thing`, with its ETag. Raises NotModified when the caller has it."""
        if self._any or thing.version in self._known:
            raise NotModified(etag(thing.version))
        self._response.headers["etag"] = etag(thing.version)
        return thing


async def _if_none_match(
    response: Response,
    header: Annotated[
        str | None,
        Header(alias="If-None-Match", description="the ETag of the version that you have: 304 when it is still that"),
        WithJsonSchema(_TAGS_SCHEMA),
    ] = None,
) -> Reader:
    known = [] if header is None else versions(header, weak=True)
    return Reader(known, known is None, response)


def tag(response: Response, thing: V) -> V:
    """`thing`, with its ETag on the response."""
    response.headers["etag"] = etag(thing.version)
    return thing


IfMatch = Annotated[Match, Depends(_if_match)]
IfNoneMatch = Annotated[Reader, Depends(_if_none_match)]
