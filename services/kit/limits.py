"""How large a request may be: its headers, its body, and how deep its JSON nests. What is over a limit is refused early.

The limits are the same for all services but the body's, which a service may raise.
"""

import re
from collections.abc import Sequence

from starlette.types import Message, Receive

from services.kit.problem import HeadersTooLarge, Malformed, ProblemError, Refused, TooLarge

DEFAULT_MAX_BODY_BYTES = 256 * 1024
MAX_HEADERS = 64
MAX_HEADER_BYTES = 16 * 1024
# The deepest body that a service takes has four levels; a parser's stack holds about a thousand.
MAX_JSON_DEPTH = 32

_STRING = re.compile(rb'"[^"\\]*(?:\\.[^"\\]*)*"', re.DOTALL)
_BRACKET = re.compile(rb"[\[\]{}]")
_OPENING = frozenset((b"[", b"{"))


def refusal(headers: Sequence[tuple[bytes, bytes]], length: str, max_body_bytes: int) -> ProblemError | None:
    """Why a request of these headers, which announces a body of this length, is refused before it is read, or None."""
    if len(headers) > MAX_HEADERS or sum([len(name) + len(value) for name, value in headers]) > MAX_HEADER_BYTES:
        return HeadersTooLarge(f"send at most {MAX_HEADERS} headers of {MAX_HEADER_BYTES} bytes together")
    if length.isdecimal() and int(length) > max_body_bytes:
        return _too_large(max_body_bytes)
    return None


def bounded(receive: Receive, max_body_bytes: int) -> Receive:
    """`receive` that refuses a body which grows over the limit without having announced it, or nests too deep."""
    received = 0
    chunks: list[bytes] = []

    async def checked() -> Message:
        nonlocal received
        message = await receive()
        if chunk := message.get("body", b""):
            received += len(chunk)
            if received > max_body_bytes:
                raise Refused(_too_large(max_body_bytes))
            chunks.append(chunk)
        if (
            chunks
            and not message.get("more_body", False)
            and too_deep(chunks[0] if len(chunks) == 1 else b"".join(chunks))
        ):
            raise Refused(Malformed(f"the body nests deeper than {MAX_JSON_DEPTH} levels"))
        return message

    return checked


def too_deep(body: bytes) -> bool:
    """Whether brackets outside of strings nest deeper than MAX_JSON_DEPTH. What is no JSON gets some answer too."""
    if body.count(b"[") + body.count(b"{") <= MAX_JSON_DEPTH:
        return False
    depth = 0
    for bracket in _BRACKET.findall(_STRING.sub(b"", body)):
        depth += 1 if bracket in _OPENING else -1
        if depth > MAX_JSON_DEPTH:
            return True
    return False


def _too_large(max_body_bytes: int) -> TooLarge:
    return TooLarge(f"the body is larger than {max_body_bytes} bytes; send less at once")
