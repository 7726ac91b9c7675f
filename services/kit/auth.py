"""Every route says who may call it. In a strict service one that does not keeps the service from starting.

    @router.get("/users/{user_id}", dependencies=[allow(Role.SUPPORT, own="user_id")])
    async def place(order: NewOrder, caller: Annotated[Principal, allow(Role.CUSTOMER)]) -> Order: ...
    @router.get("/products", dependencies=[anyone()])

`allow` wants a token (401 without) of somebody who has one of the roles, or whose own thing it is (403 otherwise).
`known` looks at a token when there is one, and the route decides further. `anyone` looks at none. Who calls too often
gets 429. The app's state holds `verifier` (services.kit.tokens) and `guard` (services.kit.guard), put there by the
service's wiring.
"""

from collections.abc import Callable, Sequence
from typing import Annotated, Any, TypeVar
from uuid import UUID

from fastapi import Depends, Request, Security
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer

from services.kit.declarations import Access, UndeclaredRoute
from services.kit.guard import Guard
from services.kit.principal import Principal, Role
from services.kit.problem import ProblemError
from services.kit.tokens import Unauthorized, Verifier

E = TypeVar("E", bound=Callable[..., Any])

bearer = HTTPBearer(
    scheme_name="accessToken", bearerFormat="JWT", description="from POST /tokens of sessions", auto_error=False
)
Credentials = Annotated[HTTPAuthorizationCredentials | None, Security(bearer)]


class Forbidden(ProblemError):
    status, slug = 403, "forbidden"

    def headers(self) -> dict[str, str]:
        return {"WWW-Authenticate": 'Bearer realm="millrace", error="insufficient_scope"'}


class _Allow(Access):
    def __init__(self, roles: Sequence[Role], own: str | None) -> None:
        if not roles and own is None:
            raise UndeclaredRoute("allow() names nobody: give it roles, or own=")
        self._roles, self._own = frozenset(roles), own
        self.callers = [*(role.value for role in roles), *([f"own:{own}"] if own else [])]

    async def __call__(self, request: Request, credentials: Credentials = None) -> Principal:
        if credentials is None:
            raise Unauthorized("this needs a token: send Authorization: Bearer <token of POST /tokens>")
        principal = await _identify(request, credentials)
        owns = self._own is not None and _is_own(principal, request.path_params[self._own])
        if not owns and not principal.has(*self._roles):
            raise Forbidden("the token's roles do not allow this, nor is it the caller's own")
        return principal


class _Known(Access):
    optional = True

    async def __call__(self, request: Request, credentials: Credentials = None) -> Principal | None:
        if credentials is not None:
            return await _identify(request, credentials)
        await _guard(request).address(request)
        return None


class _Anyone(Access):
    refusals = (429,)

    async def __call__(self, request: Request) -> None:
        await _guard(request).address(request)


class _Unlimited(Access):
    refusals = ()

    async def __call__(self) -> None:
        return None


def _guard(request: Request) -> Guard:
    guard: Guard = request.app.state.guard
    return guard


async def _identify(request: Request, credentials: HTTPAuthorizationCredentials) -> Principal:
    verifier: Verifier = request.app.state.verifier
    principal = await verifier.verify(credentials.credentials)
    await _guard(request).principal(principal)
    request.state.principal = principal
    return principal


def _is_own(principal: Principal, named: str) -> bool:
    try:
        return principal.is_user(UUID(named))
    except ValueError:
        return False


def allow(*roles: Role, own: str | None = None) -> Any:
    """Those with one of the roles may call, and the user whose id is the path's member `own`."""
    return Depends(_Allow(roles, own))


def known() -> Any:
    """Anyone may call; a caller with a token is known: `caller: Annotated[Principal | None, known()]`."""
    return Depends(_Known())


def anyone() -> Any:
    """Anyone may call, limited by network address."""
    return Depends(_Anyone())


def unlimited() -> Any:
    """Anyone may call, as often as they like: health checks, public keys."""
    return Depends(_Unlimited())


def open_to_anyone(endpoint: E) -> E:
    """Declare a raw Starlette endpoint, which no dependency can guard."""
    endpoint.access = _Anyone()  # type: ignore[attr-defined]
    return endpoint


def require_own(principal: Principal, user_id: UUID, *roles: Role) -> None:
    """For things whose owner is only known once they are read: raises Forbidden for others without one of `roles`."""
    if not principal.is_user(user_id) and not principal.has(*roles):
        raise Forbidden("this belongs to somebody else")
