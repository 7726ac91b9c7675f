"""Change data capture: the job that applies the sources' files, the two sinks, the keeper, the invalidation of caches, and the page."""

import hashlib
import sys
from collections.abc import Mapping

from stack import health
from stack.environment import HOST, selected
from stack.ports import OFFSETS
from stack.process import Job, Node, Process
from stack.processes.files import run_module
from stack.settings import ROOT, SERVICES, Settings

SINK_VARIABLES = (
    *(f"{name.upper()}_CDC_DSN" for name in SERVICES),
    "MILLRACE_STATE_DSN",
    "KAFKA_BOOTSTRAP",
    "CONNECT_URL",
    "CONNECT_SECRETS_FILE",
    "CDC_MASK_KEY",
    "CDC_POLL_MILLISECONDS",
    "CLICKHOUSE_URL",
    "CLICKHOUSE_NATIVE_PORT",
    "CLICKHOUSE_CDC_PASSWORD",
    "ELASTICSEARCH_URL",
    "REDIS_URL",
)
MODULES = {
    "clickhouse-sink": ("cdc.sinks.clickhouse", ("cdc-apply", "warehouse")),
    "document-sink": ("cdc.documents", ("cdc-apply", "elasticsearch")),
    "cdc-keeper": ("cdc.keeper", ("cdc-apply",)),
    "cache-invalidation": ("cdc.invalidation", ("cdc-apply", "redis")),
}


def nodes(settings: Settings, variables: Mapping[str, str]) -> list[Node]:
    """`cdc apply` and the processes that follow the changes."""

    def follower(name: str) -> Process:
        module, needs = MODULES[name]
        port = settings.port(OFFSETS[name])
        return Process(
            name=name,
            command=(sys.executable, "-m", module),
            health=health.http(f"http://{HOST}:{port}/readyz"),
            ports=(port,),
            environment={**selected(variables, SINK_VARIABLES), "HEALTH_PORT": str(port)},
            needs=needs,
        )

    apply = Job(
        "cdc-apply",
        lambda: run_module(
            settings, variables, "cdc-apply", "stack.commands.main", "cdc", "apply", names=SINK_VARIABLES
        ),
        needs=("connect", "migrations", "warehouse", "elasticsearch"),
        fingerprint=_inputs,
    )
    return [apply, *map(follower, MODULES), _page(settings, variables)]


def _page(settings: Settings, variables: Mapping[str, str]) -> Process:
    """The status page. It needs no more than the databases: it is there to say what of the rest does not run."""
    port = settings.port(OFFSETS["status-page"])
    return Process(
        name="status-page",
        command=(sys.executable, "-m", "cdc.page"),
        health=health.http(f"http://{HOST}:{port}/readyz"),
        ports=(port,),
        environment={
            **selected(variables, (*SINK_VARIABLES, "CDC_PROCESSES", "CDC_PAGE_TOKEN")),
            "HEALTH_PORT": str(port),
        },
        needs=("databases",),
    )


def _inputs() -> str:
    """Changes with the source files, the engine itself, and the services' tables."""
    digest = hashlib.sha256()
    engine = [path for kind in ("yaml", "py", "sql") for path in (ROOT / "cdc").rglob(f"*.{kind}")]
    for path in sorted([*engine, *ROOT.glob("services/*/migrations/*.sql")]):
        digest.update(str(path.relative_to(ROOT)).encode() + path.read_bytes())
    return digest.hexdigest()
