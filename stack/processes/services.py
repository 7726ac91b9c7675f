"""The services, and the job that brings their databases up to date.

A service gets the address of its own database and of what it calls over HTTP; no service is given another's database.
"""

import hashlib
import os
import sys
from collections.abc import Mapping

from stack import health
from stack.environment import HOST, selected
from stack.ports import OFFSETS
from stack.process import Job, Node, Process
from stack.processes.files import run_module
from stack.settings import ROOT, SERVICES, Settings

SHARED = ("KAFKA_BOOTSTRAP", "REDIS_URL")
CALLS = {
    "users": ("SESSIONS_URL", "USERS_CLIENT_SECRET", "SMTP_URL"),
    "orders": ("USERS_URL", "PRODUCTS_URL", "PAYMENTS_URL", "SMTP_URL", "SESSIONS_URL", "ORDERS_CLIENT_SECRET"),
    "products": ("SESSIONS_URL",),
    "payments": ("PAYMENT_PROVIDER_URL", "SESSIONS_URL"),
    "search": ("ELASTICSEARCH_URL", "PRODUCTS_URL", "SESSIONS_URL"),
    "sessions": ("USERS_URL", "SESSIONS_KEYS_FILE", "CLIENT_SECRET_HASHES", "SESSION_COOKIE_SECURE"),
    "analytics": ("CLICKHOUSE_URL", "CLICKHOUSE_ANALYTICS_PASSWORD", "SESSIONS_URL"),
    "clickstream-loader": ("CLICKHOUSE_URL", "CLICKHOUSE_CLICKSTREAM_PASSWORD"),
}
"""What each calls or reads besides its own database."""

NEEDS = {
    "users": ("sessions", "mail"),
    "orders": ("sessions",),
    "products": ("sessions",),
    "payments": ("sessions",),
}
"""What must be there for a service to be ready, besides its database: they verify tokens, and users sends mails."""

TRACING = ("OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_HEADERS")
"""Passed on from whoever calls `up`, when set: where the services send their traces."""

AUDITED = ("ORDERS_AUDIT_DSN", "PAYMENTS_AUDIT_DSN", "PRODUCTS_AUDIT_DSN")
"""What is held against each other, for reading."""

MODULES = {"payment-provider": "services.payments.sandbox", "clickstream-loader": "services.analytics.loader"}


def nodes(settings: Settings, variables: Mapping[str, str]) -> list[Node]:
    """Migrations, the services with a database, the payment provider's sandbox, search, sessions and analytics."""

    def service(name: str, own: tuple[str, ...], needs: tuple[str, ...]) -> Process:
        port = settings.port(OFFSETS[name])
        names = (*own, *SHARED, *CALLS.get(name, ()))
        return Process(
            name=name,
            command=(sys.executable, "-m", MODULES.get(name, f"services.{name}")),
            health=health.http(f"http://{HOST}:{port}/readyz"),
            ports=(port,),
            environment={
                **selected(variables, names),
                **{name: os.environ[name] for name in TRACING if name in os.environ},
                "PORT": str(port),
            },
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
    owners = [
        service(name, (_dsn(name), f"{name.upper()}_REPLICA_DSN"), ("migrations", "redis", *NEEDS.get(name, ())))
        for name in SERVICES
    ]
    return [
        migrate,
        *owners,
        service("payment-provider", (), ()),
        service("search", (), ("elasticsearch", "sessions", "redis")),
        service("sessions", (), ("redis",)),
        service("analytics", (), ("kafka", "warehouse", "sessions", "redis")),
        service("clickstream-loader", (), ("kafka", "warehouse")),
        service("invariants", AUDITED, ("orders",)),
    ]


def _dsn(service: str) -> str:
    return f"{service.upper()}_DSN"


def _migrations() -> str:
    digest = hashlib.sha256()
    for path in sorted((ROOT / "services").glob("*/migrations/*.sql")):
        digest.update(str(path).encode() + path.read_bytes())
    return digest.hexdigest()
