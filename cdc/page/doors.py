"""Who may see the page and use its buttons: whoever opened it by the address with its token, from this machine's names.

The token becomes a cookie that no other site's request carries (SameSite=Strict); a button's request carries a second secret in a
header, which no form of another site can set. A request under another host's name is refused: a name that is made to lead to
loopback would otherwise pass for us.
"""

import hashlib
import hmac

from starlette.datastructures import URL
from starlette.requests import Request

NAMES = ("127.0.0.1", "localhost")
HEADER = "X-CSRF-Token"


class Doors:
    """The token of one process; a cookie is named after the port, because cookies know no ports."""

    def __init__(self, token: str, port: int) -> None:
        self._token = token
        self.cookie = f"millrace-page-{port}"

    @property
    def press(self) -> str:
        """What a button's request has to carry."""
        return hmac.new(self._token.encode(), b"press", hashlib.sha256).hexdigest()

    @property
    def entry(self) -> str:
        """What the cookie holds: not the token, which opens the page elsewhere too."""
        return hmac.new(self._token.encode(), b"entry", hashlib.sha256).hexdigest()

    def opens(self, token: str) -> bool:
        """Whether an address with this token opens the page."""
        return hmac.compare_digest(token.encode(), self._token.encode())

    def may_see(self, request: Request) -> bool:
        """Whether the request comes from a browser that opened the page."""
        return hmac.compare_digest(request.cookies.get(self.cookie, "").encode(), self.entry.encode())

    def may_press(self, request: Request) -> bool:
        """Whether the request comes from a button of the page itself."""
        carried = request.headers.get(HEADER, "").encode()
        return self.may_see(request) and hmac.compare_digest(carried, self.press.encode())


def named_as_us(request: Request) -> bool:
    """Whether the request was sent to one of loopback's own names."""
    return URL(f"http://{request.headers.get('host', '')}").hostname in NAMES
