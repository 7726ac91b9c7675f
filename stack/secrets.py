"""Passwords of one stack: generated at first start, kept in the state folder with mode 600, never changed by us.

Nothing here has a default value; a password that is not in the file yet is made and added.
"""

import json
import os
import secrets
from pathlib import Path

from stack.errors import StackError
from stack.settings import CLIENTS

NAMES = (
    "postgres",
    "replication",
    "users",
    "products",
    "orders",
    "payments",
    "millrace",
    "dagster",
    "superset",
    "cdc",
    "auditor",
    "redis",
    *(f"client_{name}" for name in CLIENTS),
    "cdc_mask_key",
    "clickhouse_cdc",
    "clickhouse_dbt",
    "clickhouse_reader",
    "clickhouse_analyst",
    "clickhouse_dashboards",
    "clickhouse_analytics",
    "clickhouse_clickstream",
    "supervisor",
    "status_page",
    "superset_key",
    "superset_admin",
    "superset_analyst",
    "kafka_cluster_id",
)


def load_secrets(home: Path) -> dict[str, str]:
    """Passwords by name, created where missing. Raises StackError when the file is unreadable or damaged."""
    path = home / "secrets.json"
    try:
        known: dict[str, str] = json.loads(path.read_text())
    except FileNotFoundError:
        known = {}
    except (OSError, ValueError) as error:
        raise StackError(
            f"{path} cannot be read ({error}): restore it, or remove {home} to begin with empty data"
        ) from error
    missing = [name for name in NAMES if name not in known]
    if missing:
        known |= {name: secrets.token_hex(16) for name in missing}
        write_private(path, json.dumps(known, indent=1))
    return known


def write_private(path: Path, text: str, *, owner: tuple[int, int] | None = None) -> None:
    """Write a file that only its owner can read, complete or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(path.name + ".new")
    temporary.unlink(missing_ok=True)
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w") as file:
        file.write(text)
        if owner is not None:
            os.fchown(file.fileno(), *owner)
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)
