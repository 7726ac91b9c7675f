"""The stack's addresses and credentials as environment variables, and the same facts as the `millrace env` document.

These names are the contract between the stack and everything that talks to it.
"""

import hashlib
from collections.abc import Iterable, Mapping
from typing import Any

from stack.ports import OFFSETS
from stack.settings import CLIENTS, SERVICES, Settings

HOST = "127.0.0.1"

INHERITED = ("HOME", "LANG", "LC_ALL", "LOGNAME", "PATH", "SHELL", "TMPDIR", "TZ", "USER")
"""What processes see of the environment of whoever calls `up`: nothing that changes how a server behaves."""

FOLLOWERS = ("clickhouse-sink", "document-sink", "cdc-keeper", "cache-invalidation")
"""The engine's own processes, which the status page asks how they are."""

ADDRESSED = {
    "USERS_URL": "users",
    "PRODUCTS_URL": "products",
    "ORDERS_URL": "orders",
    "PAYMENTS_URL": "payments",
    "PAYMENT_PROVIDER_URL": "payment-provider",
    "SEARCH_URL": "search",
    "ANALYTICS_URL": "analytics",
    "SESSIONS_URL": "sessions",
    "DAGSTER_URL": "dagster-webserver",
    "SUPERSET_URL": "superset",
    "CONNECT_URL": "connect",
    "CLICKHOUSE_URL": "clickhouse",
    "ELASTICSEARCH_URL": "elasticsearch",
}


def contract(settings: Settings, secrets: Mapping[str, str]) -> dict[str, str]:
    """Every variable of the contract for this stack."""

    def port(name: str) -> int:
        return settings.port(OFFSETS[name])

    def dsn(role: str, database: str, server: str = "postgres") -> str:
        return f"postgresql://{role}:{secrets[role]}@{HOST}:{port(server)}/{database}"

    variables = {
        "MILLRACE_HOME": str(settings.home),
        "MILLRACE_PORT_BASE": str(settings.port_base),
        "POSTGRES_ADMIN_DSN": dsn("postgres", "postgres"),
        "MILLRACE_STATE_DSN": dsn("millrace", "millrace"),
        "DAGSTER_DSN": dsn("dagster", "dagster"),
        "SUPERSET_DSN": dsn("superset", "superset"),
        "SUPERSET_HOME": str(settings.home / "superset"),
        "SUPERSET_SECRET_KEY": secrets["superset_key"],
        "SUPERSET_ADMIN_PASSWORD": secrets["superset_admin"],
        "SUPERSET_ANALYST_PASSWORD": secrets["superset_analyst"],
        "KAFKA_BOOTSTRAP": f"{HOST}:{port('kafka')}",
        "CONNECT_SECRETS_FILE": str(settings.home / "connect-secrets" / "sources.properties"),
        "CDC_MASK_KEY": secrets["cdc_mask_key"],
        "CDC_POLL_MILLISECONDS": str(settings.cdc_poll_milliseconds),
        "CLICKHOUSE_NATIVE_PORT": str(port("clickhouse-native")),
        "REDIS_URL": f"redis://:{secrets['redis']}@{HOST}:{port('redis')}/0",
        "SMTP_URL": f"smtp://{HOST}:{port('mail')}",
        "DAGSTER_HOME": str(settings.home / "dagster"),
    }
    variables["SESSIONS_KEYS_FILE"] = str(settings.home / "sessions" / "keys.json")
    variables["SESSION_COOKIE_SECURE"] = "false"  # loopback speaks no TLS
    hashes = {name: hashlib.sha256(secrets[f"client_{name}"].encode()).hexdigest() for name in CLIENTS}
    variables["CLIENT_SECRET_HASHES"] = ",".join(f"{name}:{hashed}" for name, hashed in hashes.items())
    for name in CLIENTS:
        variables[f"{name.upper()}_CLIENT_SECRET"] = secrets[f"client_{name}"]
    for name in SERVICES:
        variables[f"{name.upper()}_DSN"] = dsn(name, name)
        variables[f"{name.upper()}_REPLICA_DSN"] = dsn(name, name, "postgres-replica")
        variables[f"{name.upper()}_CDC_DSN"] = dsn("cdc", name)
        variables[f"{name.upper()}_AUDIT_DSN"] = dsn("auditor", name)
    for user in ("cdc", "dbt", "reader", "analyst", "dashboards", "analytics", "clickstream"):
        variables[f"CLICKHOUSE_{user.upper()}_PASSWORD"] = secrets[f"clickhouse_{user}"]
    variables["CDC_PROCESSES"] = ",".join(f"{name}=http://{HOST}:{port(name)}" for name in FOLLOWERS)
    variables["CDC_PAGE_TOKEN"] = secrets["status_page"]
    variables["STATUS_PAGE_URL"] = f"http://{HOST}:{port('status-page')}/?token={secrets['status_page']}"
    for variable, name in ADDRESSED.items():
        variables[variable] = f"http://{HOST}:{port(name)}"
    return variables


def selected(variables: Mapping[str, str], names: Iterable[str]) -> dict[str, str]:
    """The named variables, and the two that say which stack this is: a process sees no password it does not need."""
    return {name: variables[name] for name in ("MILLRACE_HOME", "MILLRACE_PORT_BASE", *names)}


def document(variables: Mapping[str, str]) -> dict[str, Any]:
    """The `millrace env --json` document."""
    return {
        "postgres": {
            **{name: variables[f"{name.upper()}_DSN"] for name in SERVICES},
            "millrace": variables["MILLRACE_STATE_DSN"],
            "dagster": variables["DAGSTER_DSN"],
            "admin": variables["POSTGRES_ADMIN_DSN"],
            "replica": {name: variables[f"{name.upper()}_REPLICA_DSN"] for name in SERVICES},
        },
        "clickhouse": {
            "http": variables["CLICKHOUSE_URL"],
            "native_port": int(variables["CLICKHOUSE_NATIVE_PORT"]),
            "user": "reader",
            "password": variables["CLICKHOUSE_READER_PASSWORD"],
        },
        "elasticsearch": variables["ELASTICSEARCH_URL"],
        "kafka": variables["KAFKA_BOOTSTRAP"],
        "connect": variables["CONNECT_URL"],
        "redis": variables["REDIS_URL"],
        "mail": variables["SMTP_URL"],
        "services": {
            name: variables[f"{name.upper().replace('-', '_')}_URL"]
            for name in (*SERVICES, "payment-provider", "search", "sessions", "analytics")
        },
        "dagster": variables["DAGSTER_URL"],
        "superset": variables["SUPERSET_URL"],
        "status_page": variables["STATUS_PAGE_URL"],
    }


def shell(variables: Mapping[str, str]) -> str:
    """Lines for `eval "$(millrace env)"`."""
    quoted = {name: value.replace("'", "'\\''") for name, value in variables.items()}
    return "\n".join(f"export {name}='{quoted[name]}'" for name in sorted(quoted))
