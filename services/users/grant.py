"""`python -m services.users.grant EMAIL ROLE ...`: set somebody's roles from the command line, on record like any change.

This is how the first admin comes to be: over HTTP only an admin changes roles. Needs the database's address (USERS_DSN).
"""

import asyncio
import sys

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict

from services.kit.db import Primary
from services.kit.principal import PEOPLES
from services.kit.settings import Dsn, load
from services.users import accounts_repository as accounts


class GrantSettings(BaseSettings):
    model_config = SettingsConfigDict(frozen=True, extra="ignore", env_ignore_empty=True, hide_input_in_errors=True)

    dsn: Dsn = Field(validation_alias="USERS_DSN", description="address of the users database, as its owner")


async def grant(dsn: str, email: str, roles: list[str]) -> bool:
    """Whether there is such a user, who then has these roles and no others."""
    async with Primary(dsn, "grant") as primary:
        row = await accounts.find_by_email(primary, email)
        if row is None:
            return False
        async with primary.transaction() as transaction:
            await accounts.set_roles(transaction, row.user_id, roles, "command line")
        return True


def main(arguments: list[str]) -> int:
    known = sorted(PEOPLES)
    email, roles = (arguments[0], arguments[1:]) if arguments else ("", [])
    if not roles or set(roles) - set(known):
        print(f"usage: python -m services.users.grant EMAIL ROLE ...; roles are {', '.join(known)}", file=sys.stderr)
        return 2
    if not asyncio.run(grant(load(GrantSettings).dsn, email, list(dict.fromkeys(roles)))):
        print("no user has this e-mail", file=sys.stderr)
        return 1
    print(f"has the roles {', '.join(roles)} from the next login on")
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
