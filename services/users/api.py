"""The HTTP surface of users. Decides nothing: it names routes, statuses and types, and asks the service."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Depends, FastAPI, Request

from services.kit.http import Wiring, application
from services.kit.pagination import Cursor, Limit, Page
from services.kit.problem import declared
from services.users.schemas import Address, Addresses, NewAddress, NewUser, User, UserChange
from services.users.service import Users

router = APIRouter(tags=["users"])


async def service(request: Request) -> Users:
    users: Users = request.app.state.service
    return users


Service = Annotated[Users, Depends(service)]


@router.post("/users", status_code=201, responses=declared(409))
async def register_user(new: NewUser, users: Service) -> User:
    """Register a user. The e-mail is unique without regard to case."""
    return await users.register(new)


@router.get("/users")
async def list_users(users: Service, limit: Limit = 50, cursor: Cursor = None) -> Page[User]:
    """Users in the order of their registration; may be a moment behind."""
    return await users.list(limit, cursor)


@router.get("/users/{user_id}", responses=declared(404))
async def read_user(user_id: UUID, users: Service) -> User:
    return await users.read(user_id)


@router.patch("/users/{user_id}", responses=declared(404, 409))
async def change_user(user_id: UUID, change: UserChange, users: Service) -> User:
    return await users.change(user_id, change)


@router.delete("/users/{user_id}", status_code=204, responses=declared(404))
async def delete_user(user_id: UUID, users: Service) -> None:
    """Delete a user and the user's addresses. Orders keep the id."""
    await users.delete(user_id)


@router.post("/users/{user_id}/addresses", status_code=201, responses=declared(404))
async def add_address(user_id: UUID, new: NewAddress, users: Service) -> Address:
    return await users.add_address(user_id, new)


@router.get("/users/{user_id}/addresses", responses=declared(404))
async def list_addresses(user_id: UUID, users: Service) -> Addresses:
    return await users.addresses(user_id)


def build(wiring: Wiring | None = None) -> FastAPI:
    """The users app; without `wiring` it can only describe itself."""
    return application("users", router, wiring)
