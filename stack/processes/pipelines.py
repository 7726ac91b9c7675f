"""Dagster: the code location, the web server and the daemon, with their storage in PostgreSQL.

dbt's manifest is parsed before the code location loads, and only when dbt/ has changed. Dagster's tables are made by
a job of their own, because three processes that make them at once trip over each other.
"""

import hashlib
import os
import sys
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path

from stack import health
from stack.environment import HOST, selected
from stack.ports import OFFSETS
from stack.process import HealthCheck, Job, Node, Process
from stack.processes.files import run_module
from stack.secrets import write_private
from stack.settings import ROOT, SERVICES, Settings

VARIABLES = (
    *(f"{name.upper()}_{kind}" for name in SERVICES for kind in ("DSN", "REPLICA_DSN", "CDC_DSN")),
    "DAGSTER_DSN",
    "DAGSTER_HOME",
    "MILLRACE_STATE_DSN",
    "KAFKA_BOOTSTRAP",
    "CONNECT_URL",
    "CONNECT_SECRETS_FILE",
    "CDC_MASK_KEY",
    "CDC_POLL_MILLISECONDS",
    "CLICKHOUSE_URL",
    "CLICKHOUSE_NATIVE_PORT",
    "CLICKHOUSE_CDC_PASSWORD",
    "CLICKHOUSE_DBT_PASSWORD",
    "CLICKHOUSE_READER_PASSWORD",
    "ELASTICSEARCH_URL",
    "REDIS_URL",
    "SMTP_URL",
)
WEBHOOKS = ("ALERT_WEBHOOK_URL", "PLATFORM_WEBHOOK_URL")
"""Passed on from whoever calls `up`, when set: where alerts are posted (pipelines/defs/alerts/routes.yaml)."""

INSTANCE = ROOT / "pipelines" / "dagster.yaml"
LOCATION = "pipelines"
WORKSPACE = f"load_from:\n  - grpc_server: {{{{host: {{host}}, port: {{port}}, location_name: {LOCATION}}}}}\n"
DBT_SOURCES = ("dbt_project.yml", "profiles.yml", "packages.yml", "models", "macros", "tests", "seeds", "snapshots")


def nodes(settings: Settings, variables: Mapping[str, str]) -> list[Node]:
    """The manifest, Dagster's tables, and its three processes."""
    home = Path(variables["DAGSTER_HOME"])
    code_port, web_port = settings.port(OFFSETS["dagster-code"]), settings.port(OFFSETS["dagster-webserver"])
    programs = Path(sys.executable).parent

    def process(name: str, command: tuple[str, ...], check: HealthCheck, *more: str, port: int = 0) -> Process:
        return Process(
            name=name,
            command=(str(programs / command[0]), *command[1:]),
            health=check,
            ports=(port,) if port else (),
            environment={
                **selected(variables, VARIABLES),
                **{name: os.environ[name] for name in WEBHOOKS if name in os.environ},
            },
            needs=("dagster-storage", *more),
            start_seconds=240,
            stop_seconds=20,
        )

    def make_storage() -> None:
        write_private(home / "dagster.yaml", INSTANCE.read_text())
        write_private(home / "workspace.yaml", WORKSPACE.format(host=HOST, port=code_port))
        run_module(settings, variables, "dagster-storage", "stack.processes.storage", names=VARIABLES)

    def storage_fingerprint() -> str:
        made = (settings.home / "postgres" / "data" / "PG_VERSION").stat().st_mtime_ns  # other with other data
        facts = f"{version('dagster')} {code_port} {made}"
        return hashlib.sha256(INSTANCE.read_bytes() + facts.encode()).hexdigest()

    def parse() -> None:
        run_module(settings, variables, "dbt-manifest", "pipelines.lib.manifest", names=VARIABLES)

    return [
        Job("dagster-storage", make_storage, ("databases",), storage_fingerprint, each_start=False),
        Job("dbt-manifest", parse, fingerprint=_dbt_project),
        process(
            "dagster-code",
            (
                *("dagster", "code-server", "start", "-h", HOST, "-p", str(code_port)),
                *("-m", "pipelines.definitions", "--location-name", LOCATION),
            ),
            health.grpc(f"{HOST}:{code_port}"),
            "dbt-manifest",
            port=code_port,
        ),
        process(
            "dagster-webserver",
            ("dagster-webserver", "-h", HOST, "-p", str(web_port), "-w", str(home / "workspace.yaml")),
            health.http(f"{variables['DAGSTER_URL']}/server_info"),
            "dagster-code",
            port=web_port,
        ),
        process(
            "dagster-daemon",
            ("dagster-daemon", "run", "-w", str(home / "workspace.yaml")),
            health.postgres(
                variables["DAGSTER_DSN"],
                "SELECT max(timestamp) > now() AT TIME ZONE 'UTC' - interval '90 seconds' FROM daemon_heartbeats",
                "has not sent a heartbeat for 90 seconds",
            ),
            "dagster-code",
        ),
    ]


def _dbt_project() -> str:
    digest = hashlib.sha256()
    for name in DBT_SOURCES:
        top = ROOT / "dbt" / name
        paths = [top] if top.is_file() else [Path(folder, file) for folder, _, files in os.walk(top) for file in files]
        for path in sorted(paths):
            digest.update(str(path).encode() + path.read_bytes())
    return digest.hexdigest()
