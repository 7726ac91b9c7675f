"""The table of services that may have tokens: the stack gives each a secret, and a secret opens its own line only."""

import hashlib

from services.kit.principal import STAFF, Role
from services.sessions.clients import ROLES, roles_of
from stack.settings import CLIENTS

HASHES = {name: hashlib.sha256(f"secret of {name}".encode()).hexdigest() for name in ROLES}


def test_the_stack_knows_every_client_but_sessions_which_signs_for_itself() -> None:
    assert {*CLIENTS, "sessions"} == set(ROLES)


def test_no_service_is_an_admin() -> None:
    assert all(Role.ADMIN not in roles for roles in ROLES.values())
    assert {name for name, roles in ROLES.items() if STAFF & set(roles)} == {"demo"}


def test_a_secret_opens_its_own_line_only() -> None:
    for name in ROLES:
        assert roles_of(name, f"secret of {name}", HASHES) == ROLES[name]
        assert roles_of(name, "secret of another", HASHES) is None
    assert roles_of("stranger", "secret", {"stranger": hashlib.sha256(b"secret").hexdigest()}) is None
    assert roles_of("orders", "", {}) is None
