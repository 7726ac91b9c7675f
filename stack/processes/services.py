"""The services, and the job that brings their databases up to date.

A service gets the address of its own database and of what it calls over HTTP; no service is given another's database.
"""

import hashlib
import sys
from collections.abc import Mapping

from stack import health
from stack.environment import selected
from stack.ports import OFFSETS
from stack.process import Job, Node, Process
from stack.processes.files import run_module
from stack.settings import ROOT, SERVICES, Settings

SHARED = ("KAFKA_BOOTSTRAP", "REDIS_URL")
CALLS = {
    "orders": ("USERS_URL", "PRODUCTS_URL", "PAYMENTS_URL"),
    "payments": ("PAYMENT_PROVIDER_URL",),
    "search": ("ELASTICSEARCH_URL", "PRODUCTS_URL"),
}
"""What each calls or reads besides its own database."""

MODULES = {"payment-provider": "services.payments.sandbox"}


def nodes(settings: Settings, variables: Mapping[str, str]) -> list[Node]:
    """Migrations, the services with a database, the payment provider's sandbox and search."""

    def service(name: str, own: tuple[str, ...], needs: tuple[str, ...]) -> Process:
        port = settings.port(OFFSETS[name])
        names = (*own, *SHARED, *CALLS.get(name, ()))
        return Process(
            name=name,
            command=(sys.executable, "-m", MODULES.get(name, f"services.{name}")),
            health=health.http(f"{variables[url_variable(name)]}/readyz"),
            ports=(port,),
            environment={**selected(variables, names), "PORT": str(port)},
            needs=needs,
        )

    migrate = Job(
        "migrations",
        lambda: run_module(
            settings, variables, "migrations", "services.kit.migrate", *SERVICES, names=[_dsn(s) for s in SERVICES]
        ),
        needs=("databases",),
        fingerprint=_migrations,
    )
    owners = [service(name, (_dsn(name), f"{name.upper()}_REPLICA_DSN"), ("migrations",)) for name in SERVICES]
    return [migrate, *owners, service("payment-provider", (), ()), service("search", (), ("elasticsearch",))]


def url_variable(name: str) -> str:
    """Name of the variable that holds a service's address."""
    return f"{name.upper().replace('-', '_')}_URL"


def _dsn(service: str) -> str:
    return f"{service.upper()}_DSN"


def _migrations() -> str:
    digest = hashlib.sha256()
    for path in sorted((ROOT / "services").glob("*/migrations/*.sql")):
        digest.update(str(path).encode() + path.read_bytes())
    return digest.hexdigest()
