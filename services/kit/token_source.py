"""A service's own access token: fetched from the sessions service when needed, renewed before it expires.

    http = httpx.AsyncClient(auth=TokenSource(sessions_url, "orders", secret))

It is httpx's own way to authenticate, so it serves blocking and asynchronous clients alike. A token that is refused
is renewed once. Refuses to send its secret anywhere but to the sessions service.

    TokenRefused      the sessions service does not know this id and secret (permanent)
    TokenUnavailable  it did not answer as it should (transient; an httpx.TransportError, as for any lost answer)
"""

import time
from collections.abc import Generator

import httpx

from services.kit.problem import ProblemError

# A token that would expire on its way is no good.
_RENEW_BEFORE_S = 30.0


class TokenRefused(ProblemError):
    status, slug = 502, "token-refused"


class TokenUnavailable(httpx.TransportError):
    pass


class TokenSource(httpx.Auth):
    requires_response_body = True

    def __init__(self, sessions_url: str, client_id: str, client_secret: str) -> None:
        self._url = sessions_url.rstrip("/") + "/tokens"
        self._client_id = client_id
        self._body = {"grant": "client_credentials", "client_id": client_id, "client_secret": client_secret}
        self._token = ""
        self._good_until = 0.0

    def auth_flow(self, request: httpx.Request) -> Generator[httpx.Request, httpx.Response, None]:
        for last in (False, True):
            if last or time.monotonic() > self._good_until:
                self._keep((yield httpx.Request("POST", self._url, json=self._body, extensions=request.extensions)))
            request.headers["Authorization"] = f"Bearer {self._token}"
            response = yield request
            if response.status_code != httpx.codes.UNAUTHORIZED:
                return

    def _keep(self, response: httpx.Response) -> None:
        if response.status_code >= 500 or response.status_code == httpx.codes.TOO_MANY_REQUESTS:
            raise TokenUnavailable(f"the sessions service gave no token (status {response.status_code})")
        if not response.is_success:
            raise TokenRefused(f"the sessions service refuses a token to {self._client_id!r}; mend its id or secret")
        answer = response.json()
        self._token = str(answer["access_token"])
        self._good_until = time.monotonic() + float(answer["expires_in"]) - _RENEW_BEFORE_S
