"""The services that may have tokens, and what each may do: the one table, each with as little as it needs.

A client proves itself by a secret of 128 random bits, of which only the hash is configured. People are not here.
"""

import hashlib
import hmac
from collections.abc import Mapping

from services.kit.principal import Role

ROLES: Mapping[str, tuple[Role, ...]] = {
    # does the customer exist? hold what was ordered, take the money
    "orders": (Role.USERS_READ, Role.PRODUCTS_RESERVE, Role.PAYMENTS_TAKE),
    "sessions": (Role.CREDENTIALS_VERIFY,),  # may this person log in, and with what roles?
    "users": (Role.SESSIONS_END,),  # a password changed, an account was erased
    "demo": (Role.OPERATOR,),  # the simulated merchant who registers customers
}


def roles_of(client_id: str, secret: str, secret_hashes: Mapping[str, str]) -> tuple[Role, ...] | None:
    """The client's roles; None when the id is not known or the secret is not its own."""
    expected = secret_hashes.get(client_id, "")
    given = hashlib.sha256(secret.encode()).hexdigest()
    if not hmac.compare_digest(given, expected) or client_id not in ROLES:
        return None
    return ROLES[client_id]
