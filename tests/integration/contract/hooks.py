"""Read by schemathesis: who calls, which things a request may touch, and which refusals are right though no OpenAPI document
can foretell them. `MILLRACE_CONTRACT` names the roster that `roster.py` writes.
"""

import json
import os
from datetime import date
from itertools import count
from pathlib import Path
from typing import Any
from uuid import UUID

import schemathesis
from hypothesis import strategies
from schemathesis import AuthContext, Case, HookContext
from schemathesis.core.failures import Failure
from schemathesis.core.transport import Response
from schemathesis.openapi.checks import RejectedPositiveData

ROSTER: dict[str, Any] = json.loads(Path(os.environ["MILLRACE_CONTRACT"]).read_text(encoding="utf-8"))

# Refusals of requests that keep to the document, by the kind of problem; each with what the document cannot say.
RULES = {
    "idempotency-key-reused": "the key was sent before, with another body",
    "invalid-attributes": "what attributes a product has is said by its category, which is data",
    "invalid-cursor": "a cursor is signed by the service for one list and its filters",
    "invalid-position": "so is a position in the log",
    "rule-broken": "members that are right each by itself, but not together or not now; the route's text says the rule",
    "unknown-currency": "which currencies the ledger keeps is data",
    "unknown-product": "the product is not there",
    "unknown-reference": "the category or the group is not there",
    "unknown-user": "the user is not there",
}

# A day of this century is what every pattern of a day asks for; of all days one in a hundred is.
schemathesis.openapi.format("date", strategies.dates(date(2000, 1, 1), date(2099, 12, 31)).map(str))

_BY_PASSWORD = {"/sessions", "/tokens", "/credentials:verify", "/users/{user_id}/password"}
_calls = count(1)


@schemathesis.auth(refresh_interval=None)
class Token:
    """The caller's token: of whom the path names, else of one of many who take turns (each may only call so often)."""

    def get(self, case: Case[Any], ctx: AuthContext) -> str | None:
        if ROSTER["caller"] == "nobody":
            return None
        if "/sessions" in case.path and not case.path.startswith("/users/"):
            sessions = ROSTER["sessions"]  # each can be ended once
            return str(sessions[0][0]) if sessions else None
        tokens: dict[str, str] = ROSTER["tokens"]
        named = (case.path_parameters or {}).get("user_id")
        return tokens.get(str(named)) or list(tokens.values())[next(_calls) % len(tokens)]

    def set(self, case: Case[Any], data: str | None, ctx: AuthContext) -> None:
        if data is not None:
            case.headers["Authorization"] = f"Bearer {data}"


@schemathesis.hook
def before_call(context: HookContext, case: Case[Any], kwargs: dict[str, Any]) -> None:
    """Three of four ids that were drawn become ids of things that are there, so that the request gets past 404."""
    number = next(_calls)
    # From an address of its own: nobody else's allowance is used up.
    case.headers["X-Forwarded-For"] = f"10.{number >> 16 & 255}.{number >> 8 & 255}.{number & 255}"
    known = dict(ROSTER["known"])
    if case.method == "DELETE" and (doomed := ROSTER["doomed"].get(case.path)) is not None:
        # What the other requests need is not deleted.
        known.pop(case.path.rpartition("{")[2].rstrip("}"))
        known |= doomed.pop() if doomed else {}
    if case.method == "POST" and case.path in ("/payments", "/payments/void", "/reservations"):
        known.pop("order_id")
    _exchange(case.path_parameters, known)
    _exchange(case.query, known)
    _exchange(case.body, known)
    if case.meta is not None and case.meta.generation.mode.is_positive and number % 4:
        if "If-Match" in case.headers:
            case.headers["If-Match"] = "*"
        if "reference" in case.path_parameters and ROSTER["sessions"]:
            case.path_parameters["reference"] = ROSTER["sessions"][0][1]
        if "Idempotency-Key" in case.headers:
            case.headers["Idempotency-Key"] = f"{ROSTER['login']['session']}-{number}"
        if "cursor" in case.query:
            del case.query["cursor"]
        if "X-Commit-LSN" in case.headers:
            del case.headers["X-Commit-LSN"]
        if isinstance(case.body, dict):
            usual = {"currency": "EUR", **(ROSTER["login"] if case.path in _BY_PASSWORD else {})}
            for name in usual.keys() & case.body.keys():
                case.body[name] = usual[name]


@schemathesis.hook
def after_call(context: HookContext, case: Case[Any], response: Response) -> None:
    if case.method == "DELETE" and response.status_code == 204 and case.path.startswith("/sessions"):
        ROSTER["sessions"].pop(0)


@schemathesis.hook
def filter_failure(context: HookContext, failure: Failure, case: Case[Any], response: Response) -> bool:
    """Whether it is one. A refusal of what the document allows is none when its kind is in RULES."""
    if not isinstance(failure, RejectedPositiveData) or "problem+json" not in str(response.headers.get("content-type")):
        return True
    kind = str(response.json()["type"]).removeprefix("urn:millrace:problem:")
    return kind not in RULES


def _exchange(values: object, known: dict[str, str]) -> None:
    """Put known ids in the place of drawn ones, at any depth."""
    if isinstance(values, list):
        for value in values:
            _exchange(value, known)
    if not isinstance(values, dict):
        return
    for name, value in values.items():
        if name in known and _drawn(value):
            values[name] = known[name]
        else:
            _exchange(value, known)


def _drawn(value: object) -> bool:
    """Whether it is an id, and one of the three of four."""
    try:
        return isinstance(value, str) and UUID(value[:36]).int % 4 != 1
    except ValueError:
        return False
