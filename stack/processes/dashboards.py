"""Superset, when `up --with dashboards` asks for it: its tables in PostgreSQL, its web server, and what its pages show.

It has a virtual environment of its own (dashboards/requirements.lock), because it needs older pandas and sqlalchemy than
the rest; so its code is never imported here, only run. Its tables, roles and users take minutes to make, once for a version
of Superset. The dashboards are published after each start of it and whenever a file of theirs has changed; they are held
against marts and metrics before, so that a wrong file is named and what was there goes on being served.
"""

import hashlib
import os
from collections.abc import Iterable, Mapping
from pathlib import Path

from stack import health, parts
from stack.environment import HOST, INHERITED, selected
from stack.ports import OFFSETS
from stack.process import Job, Node, Process
from stack.processes.files import run_module
from stack.settings import ROOT, Settings

ADDITION = "dashboards"
FOLDER = ROOT / "dashboards"
CONFIG = FOLDER / "server" / "superset_config.py"
VARIABLES = ("SUPERSET_DSN", "SUPERSET_HOME", "SUPERSET_SECRET_KEY")
USERS = ("SUPERSET_ADMIN_PASSWORD", "SUPERSET_ANALYST_PASSWORD")
WAREHOUSE = ("CLICKHOUSE_URL", "CLICKHOUSE_DASHBOARDS_PASSWORD", "CLICKHOUSE_ANALYST_PASSWORD")
OWN = {"SUPERSET_CONFIG_PATH": str(CONFIG), "PYTHONWARNINGS": "ignore"}


def inside(variables: Mapping[str, str], module: str, *arguments: str) -> tuple[list[str], dict[str, str]]:
    """How to run a module of dashboards/server: the command and its environment."""
    environment = {name: os.environ[name] for name in INHERITED if name in os.environ}
    environment |= {**selected(variables, (*VARIABLES, *USERS, *WAREHOUSE)), **OWN}
    return [str(parts.SUPERSET.path), "-m", module, *arguments], environment


def nodes(settings: Settings, variables: Mapping[str, str]) -> list[Node]:
    """Superset's tables and users, its web server, and the dashboards in it."""
    port = settings.port(OFFSETS["superset"])
    python = str(parts.SUPERSET.path)
    web = ("-m", "gunicorn", "--bind", f"{HOST}:{port}", "--workers", "1", "--worker-class", "gthread")

    def run(job: str, module: str, *names: str) -> None:
        run_module(settings, variables, job, module, names=(*VARIABLES, *names), python=python, more=OWN)

    def prepare() -> None:
        (settings.home / "superset").mkdir(parents=True, exist_ok=True)
        run("superset-storage", "dashboards.server.prepare", *USERS)

    def prepared_from() -> str:
        made = (settings.home / "postgres" / "data" / "PG_VERSION").stat().st_mtime_ns  # other with other data
        return _hash([FOLDER / "requirements.lock", FOLDER / "server" / "prepare.py"], str(made))

    def publish() -> None:
        run_module(settings, variables, "dashboards", "stack.commands.main", "dashboards", "check", names=())
        run("dashboards", "dashboards.server.publish", *WAREHOUSE)

    def published_from() -> str:
        return _hash([FOLDER / "server" / "publish.py", *sorted((FOLDER / "assets").rglob("*.yaml"))])

    return [
        Job("superset-storage", prepare, ("databases",), prepared_from, each_start=False),
        Process(
            name="superset",
            command=(python, *web, "--threads", "8", "--timeout", "120", "--preload", "superset.app:create_app()"),
            health=health.http(f"{variables['SUPERSET_URL']}/health"),
            ports=(port,),
            environment=selected(variables, VARIABLES) | OWN,
            needs=("superset-storage", "warehouse"),
            then=("dashboards",),
            parts=(parts.SUPERSET,),
            start_seconds=300,
            stop_seconds=20,
            addition=ADDITION,
        ),
        Job("dashboards", publish, ("superset",), published_from),
    ]


def _hash(files: Iterable[Path], more: str = "") -> str:
    digest = hashlib.sha256(more.encode())
    for path in files:
        digest.update(str(path).encode() + path.read_bytes())
    return digest.hexdigest()
