"""Calls from one service to another: bounded in time, repeated when transient, failing by typed errors.

Only idempotent calls may go through here: a call whose answer was lost is simply made again.

    CallRefused      the other service answered with a problem (permanent: repeating it changes nothing)
    CallUnavailable  no answer, or a 5xx one, after all attempts (transient: whether it took effect is unknown)

A caller that is not let in (no token to be had, one that is not taken, too many calls) has CallUnavailable too: it says
nothing about what was asked, and passes once the sessions service is back or its table of clients is mended.
"""

import asyncio
from typing import Any, Self

import httpx

from services.kit import log, telemetry
from services.kit.problem import ProblemError, Unavailable
from services.kit.token_source import TokenRefused

ATTEMPTS = 3
_FIRST_PAUSE_S = 0.1
_CONNECT_TIMEOUT_S = 1.0
# Shorter than the servers' keep-alive: an idle connection is dropped by us, never under a request.
_IDLE_CONNECTION_S = 10.0
_NOT_LET_IN = frozenset({"unauthorized", "invalid-token", "forbidden", "too-many-requests"})


class CallRefused(ProblemError):
    status, slug = 502, "refused-downstream"

    def __init__(self, service: str, answered: int, document: dict[str, Any]) -> None:
        super().__init__(f"{service} refused: {document.get('detail', answered)}")
        self.answered = answered
        self.document_received = document

    @property
    def kind(self) -> str:
        """The slug of the problem's type, such as `insufficient-stock`."""
        return str(self.document_received.get("type", "")).rpartition(":")[2]


class CallUnavailable(Unavailable):
    slug = "service-unavailable"


class ServiceClient:
    """Keeps connections to one service. `timeout_s` bounds each attempt; `auth` is a TokenSource where one is asked."""

    def __init__(self, service: str, url: str, timeout_s: float = 5.0, *, auth: httpx.Auth | None = None) -> None:
        self._service = service
        self._http = httpx.AsyncClient(
            base_url=url,
            auth=auth,
            timeout=httpx.Timeout(timeout_s, connect=_CONNECT_TIMEOUT_S),
            limits=httpx.Limits(max_connections=50, keepalive_expiry=_IDLE_CONNECTION_S),
            trust_env=False,
        )

    async def __aenter__(self) -> Self:
        await self._http.__aenter__()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._http.aclose()

    async def call(
        self, method: str, path: str, *, json: object = None, params: Any = None, attempts: int = ATTEMPTS
    ) -> Any:
        """The decoded JSON answer, None for an empty one. Raises CallRefused or CallUnavailable."""
        pause = _FIRST_PAUSE_S
        for attempt in range(1, attempts + 1):
            try:
                with telemetry.calling(self._service, method):
                    response = await self._http.request(method, path, json=json, params=params, headers=_headers())
            except httpx.TransportError as error:
                fault = f"{type(error).__name__}"
            except TokenRefused as error:
                raise CallUnavailable(f"{self._service} cannot be asked: {error.detail}") from error
            else:
                if response.status_code < 400:
                    return response.json() if response.content else None
                fault = f"status {response.status_code}"
                if response.status_code < 500:
                    refusal = CallRefused(self._service, response.status_code, _problem(response))
                    if refusal.kind not in _NOT_LET_IN:
                        raise refusal
            if attempt < attempts:
                await asyncio.sleep(pause)
                pause *= 3
        raise CallUnavailable(f"{self._service} did not answer ({fault}); try again")


def _headers() -> dict[str, str]:
    """The ids that the call belongs to: the request's, and the trace."""
    request_id = log.request_id.get()
    return telemetry.inject() | ({"x-request-id": request_id} if request_id else {})


def _problem(response: httpx.Response) -> dict[str, Any]:
    try:
        document = response.json()
    except ValueError:
        return {}
    return document if isinstance(document, dict) else {}
