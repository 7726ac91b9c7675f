"""The HTTP surface of sessions. A session proves itself by the cookie `session`, or by its id as a bearer token."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Depends, FastAPI, Request, Response, Security
from fastapi.security import APIKeyCookie, HTTPAuthorizationCredentials, HTTPBearer

from services.kit.auth import allow, anyone, unlimited
from services.kit.declarations import Access
from services.kit.guard import address_of
from services.kit.http import Wiring, application
from services.kit.principal import Principal, Role
from services.kit.problem import declared
from services.kit.state import from_state
from services.sessions.repository import SessionRow
from services.sessions.schemas import ClientGrant, Grant, KeySet, Login, NewSession, OwnSessions, Token
from services.sessions.service import Sessions

COOKIE = "session"
_MAX_DEVICE = 100

router = APIRouter(tags=["sessions"])
cookie = APIKeyCookie(name=COOKIE, scheme_name="sessionCookie", auto_error=False)
bearer = HTTPBearer(scheme_name="sessionBearer", description="the id of a session", auto_error=False)
Cookie = Annotated[str | None, Security(cookie)]


Service = Annotated[Sessions, from_state("service")]


class SessionHolder(Access):
    """Who holds a session that has not ended."""

    callers = ("own session",)
    refusals = (401, 429)

    async def __call__(
        self,
        request: Request,
        sessions: Service,
        cookie: Cookie = None,
        credentials: Annotated[HTTPAuthorizationCredentials | None, Security(bearer)] = None,
    ) -> SessionRow:
        row = await sessions.current(credentials.credentials if credentials else cookie)
        await request.app.state.guard.principal(Principal(row.user, "user", frozenset()))
        return row


Current = Annotated[SessionRow, Depends(SessionHolder())]


@router.post("/sessions", status_code=201, responses=declared(401), dependencies=[anyone()])
async def log_in(login: Login, request: Request, response: Response, sessions: Service) -> NewSession:
    """Log in. The id is new each time; a session that the caller came with ends."""
    device = request.headers.get("user-agent", "unknown")[:_MAX_DEVICE]
    made = await sessions.log_in(login, address_of(request), device, request.cookies.get(COOKIE))
    response.set_cookie(
        COOKIE,
        made.session,
        expires=made.expires_at,
        httponly=True,
        secure=request.app.state.secure_cookie,
        samesite="strict",
    )
    response.headers["Cache-Control"] = "no-store"
    return made


@router.get("/sessions")
async def list_own_sessions(current: Current, sessions: Service) -> OwnSessions:
    """The caller's sessions, the oldest first."""
    return await sessions.list(current)


@router.delete("/sessions", status_code=204)
async def log_out_everywhere(current: Current, response: Response, sessions: Service) -> None:
    """End all sessions of the caller, this one too."""
    await sessions.end_all(current.user)
    response.delete_cookie(COOKIE)


@router.delete("/sessions/current", status_code=204)
async def log_out(current: Current, response: Response, sessions: Service) -> None:
    """End this session."""
    await sessions.log_out(current)
    response.delete_cookie(COOKIE)


@router.delete("/sessions/{reference}", status_code=204, responses=declared(404))
async def end_own_session(reference: str, current: Current, sessions: Service) -> None:
    """End one of the caller's sessions, on a device that was lost for example."""
    await sessions.end(current, reference)


@router.delete(
    "/users/{user_id}/sessions", status_code=204, dependencies=[allow(Role.SESSIONS_END, Role.SUPPORT, Role.ADMIN)]
)
async def end_sessions_of_user(user_id: UUID, sessions: Service) -> None:
    """End all sessions of a user; nothing happens when there is none."""
    await sessions.end_all(user_id)


@router.post("/tokens", responses=declared(401), dependencies=[anyone()])
async def issue_token(grant: Grant, request: Request, response: Response, sessions: Service) -> Token:
    """Exchange a session, or a service's id and secret, for an access token that lives for five minutes."""
    response.headers["Cache-Control"] = "no-store"
    if isinstance(grant, ClientGrant):
        return await sessions.client_token(grant)
    return await sessions.user_token(grant.session or request.cookies.get(COOKIE))


@router.get("/.well-known/jwks.json", dependencies=[unlimited()])
async def key_set(request: Request) -> KeySet:
    """The public keys of access tokens."""
    return KeySet.model_validate(request.app.state.keys.published())


def build(wiring: Wiring | None = None) -> FastAPI:
    """The sessions app; without `wiring` it can only describe itself."""
    return application("sessions", router, wiring, strict=True)
