"""The HTTP surface of accounts: passwords, mailed codes, roles, and what the sessions service asks."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter

from services.kit.auth import allow, anyone
from services.kit.principal import Principal, Role
from services.kit.problem import declared
from services.kit.state import from_state
from services.users import accounts as logic
from services.users.accounts_schemas import (
    Account,
    EmailVerification,
    LoginData,
    PasswordChange,
    PasswordReset,
    ResetRequest,
    RoleChanges,
    Roles,
)

router = APIRouter(tags=["accounts"])


Accounts = Annotated[logic.Accounts, from_state("accounts")]


@router.put(
    "/users/{user_id}/password",
    status_code=204,
    responses=declared(404, 409),
    dependencies=[allow(own="user_id")],
)
async def change_password(user_id: UUID, change: PasswordChange, accounts: Accounts) -> None:
    """Set another password; all sessions end."""
    await accounts.change_password(user_id, change)


@router.post("/password-resets", status_code=202, dependencies=[anyone()])
async def ask_for_password_reset(request: ResetRequest, accounts: Accounts) -> None:
    """Have a code mailed to this address, if it is a user's. The answer does not say whether it is."""
    await accounts.ask_for_reset(request.email)


@router.post("/password-resets:confirm", status_code=204, responses=declared(409), dependencies=[anyone()])
async def reset_password(reset: PasswordReset, accounts: Accounts) -> None:
    """Set another password by a mailed code, which is good once; all sessions end."""
    await accounts.reset_password(reset.code, reset.new_password)


@router.post(
    "/users/{user_id}/email-verification",
    status_code=202,
    responses=declared(404, 409),
    dependencies=[allow(own="user_id")],
)
async def ask_for_email_verification(user_id: UUID, accounts: Accounts) -> None:
    """Have another code mailed."""
    await accounts.ask_for_verification(user_id)


@router.post("/email-verifications", status_code=204, responses=declared(409), dependencies=[anyone()])
async def verify_email(verification: EmailVerification, accounts: Accounts) -> None:
    """Confirm an e-mail address by the code that was mailed there, which is good once."""
    await accounts.verify_email(verification.code)


@router.get(
    "/users/{user_id}/roles",
    responses=declared(404),
    dependencies=[allow(Role.SUPPORT, Role.OPERATOR, Role.ADMIN, own="user_id")],
)
async def read_roles(user_id: UUID, accounts: Accounts) -> Roles:
    return await accounts.roles(user_id)


@router.put("/users/{user_id}/roles", responses=declared(404, 409))
async def change_roles(
    user_id: UUID, roles: Roles, caller: Annotated[Principal, allow(Role.ADMIN)], accounts: Accounts
) -> Roles:
    """Set the roles of somebody else. The user's sessions end, and the change is kept on record."""
    return await accounts.change_roles(user_id, roles, caller)


@router.get("/users/{user_id}/role-changes", dependencies=[allow(Role.ADMIN)])
async def list_role_changes(user_id: UUID, accounts: Accounts) -> RoleChanges:
    """Who changed the user's roles, and how; the oldest first."""
    return await accounts.role_changes(user_id)


@router.post("/credentials:verify", dependencies=[allow(Role.CREDENTIALS_VERIFY)])
async def verify_credentials(data: LoginData, accounts: Accounts) -> Account:
    """Whose e-mail and password these are; 403 `wrong-credentials` when they are nobody's."""
    return await accounts.verify(data.email, data.password)


@router.get("/credentials/{user_id}", responses=declared(404), dependencies=[allow(Role.CREDENTIALS_VERIFY)])
async def read_account(user_id: UUID, accounts: Accounts) -> Account:
    """What the user may do now."""
    return await accounts.account(user_id)
