"""The HTTP surface of users. Decides nothing: it names routes, who may call them, statuses and types."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, FastAPI, Response

from services.kit import conditional, idempotency
from services.kit.auth import allow, known
from services.kit.conditional import IfMatch, IfNoneMatch
from services.kit.db import Transaction
from services.kit.http import Wiring, application
from services.kit.pagination import Cursor, Limit, Page
from services.kit.principal import Principal, Role
from services.kit.problem import declared
from services.kit.state import from_state
from services.users import accounts_api
from services.users.accounts_api import Accounts
from services.users.schemas import Address, AddressChange, Addresses, NewAddress, NewUser, User, UserChange
from services.users.service import Users

router = APIRouter(tags=["users"])
router.include_router(accounts_api.router)


Service = Annotated[Users, from_state("service")]

READERS = allow(Role.SUPPORT, Role.OPERATOR, Role.ADMIN, own="user_id")
WRITERS = allow(Role.OPERATOR, Role.ADMIN, own="user_id")


@router.post("/users", status_code=201, response_model=User, responses={**idempotency.RESPONSES, **conditional.CREATED})
async def register_user(
    new: NewUser, caller: Annotated[Principal | None, known()], users: Service, once: idempotency.Optional
) -> Response:
    """Register a user. The e-mail is unique without regard to case. Who registers with a password gets a mail."""
    hashed = await users.admit(new, caller)

    async def effect(transaction: Transaction) -> idempotency.Reply:
        user = await users.register(transaction, new, hashed)
        return idempotency.reply(201, user, etag=conditional.etag(user.version))

    return await once.run(effect)


@router.get("/users", dependencies=[allow(Role.SUPPORT, Role.OPERATOR, Role.ADMIN)])
async def list_users(users: Service, limit: Limit = 50, cursor: Cursor = None) -> Page[User]:
    """Users in the order of their registration; may be a moment behind."""
    return await users.list(limit, cursor)


@router.get(
    "/users/{user_id}",
    responses={**declared(404), **conditional.TAGGED_OR_UNCHANGED},
    dependencies=[allow(Role.SUPPORT, Role.OPERATOR, Role.ADMIN, Role.USERS_READ, own="user_id")],
)
async def read_user(user_id: UUID, users: Service, reader: IfNoneMatch) -> User:
    return reader.show(await users.read(user_id))


@router.patch("/users/{user_id}", responses={**declared(404, 409), **conditional.GUARDED, **conditional.TAGGED})
async def change_user(
    user_id: UUID,
    change: UserChange,
    caller: Annotated[Principal, WRITERS],
    users: Service,
    accounts: Accounts,
    match: IfMatch,
    response: Response,
) -> User:
    """Change the profile. Another e-mail has to be confirmed anew."""
    await accounts.require_power_over(caller, user_id)
    return conditional.tag(response, await users.change(user_id, change, match))


@router.delete("/users/{user_id}", status_code=204, responses=declared(404))
async def erase_user(user_id: UUID, caller: Annotated[Principal, WRITERS], accounts: Accounts) -> None:
    """Erase a person: name, e-mail, addresses, password and sessions are gone for good. Orders keep the id."""
    await accounts.erase(user_id, caller)


@router.post(
    "/users/{user_id}/addresses",
    status_code=201,
    response_model=Address,
    responses={**declared(404), **idempotency.RESPONSES},
    dependencies=[WRITERS],
)
async def add_address(user_id: UUID, new: NewAddress, users: Service, once: idempotency.Required) -> Response:
    async def effect(transaction: Transaction) -> idempotency.Reply:
        return idempotency.reply(201, await users.add_address(transaction, user_id, new))

    return await once.run(effect)


@router.get("/users/{user_id}/addresses", responses=declared(404), dependencies=[READERS])
async def list_addresses(user_id: UUID, users: Service) -> Addresses:
    return await users.addresses(user_id)


@router.get("/users/{user_id}/addresses/{address_id}", responses=declared(404), dependencies=[READERS])
async def read_address(user_id: UUID, address_id: UUID, users: Service) -> Address:
    return await users.address(user_id, address_id)


@router.patch("/users/{user_id}/addresses/{address_id}", responses=declared(404), dependencies=[WRITERS])
async def change_address(user_id: UUID, address_id: UUID, change: AddressChange, users: Service) -> Address:
    return await users.change_address(user_id, address_id, change)


@router.delete(
    "/users/{user_id}/addresses/{address_id}", status_code=204, responses=declared(404), dependencies=[WRITERS]
)
async def delete_address(user_id: UUID, address_id: UUID, users: Service) -> None:
    await users.delete_address(user_id, address_id)


def build(wiring: Wiring | None = None) -> FastAPI:
    """The users app; without `wiring` it can only describe itself."""
    return application("users", router, wiring, strict=True)
