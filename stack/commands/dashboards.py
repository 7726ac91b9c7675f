"""`millrace dashboards`: the files of dashboards/ held against marts and metrics, and what is made of them.

check and write read files only; save asks the Superset that runs.
"""

import json
import subprocess
import tempfile
from pathlib import Path
from typing import Annotated

import typer

from stack.errors import StackError
from stack.settings import ROOT

app = typer.Typer(help="The dashboards' files.", no_args_is_help=True)


class DashboardsRefused(StackError):
    """The files have faults; the message is a line for each."""


@app.command()
def check() -> None:
    """Hold every file against the marts' contracts and the metrics; a line for each fault, exit status 2 with one."""
    tiles = checked()
    typer.echo(f"{tiles} charts on dashboards, every column and metric of theirs is there")


@app.command()
def write() -> None:
    """Write what follows from marts, metrics and dashboards: the datasets, and dbt's exposures."""
    from dashboards.files import DashboardError
    from dashboards.marts import marts
    from dashboards.written import write as written
    from metrics.contracts import contracts
    from metrics.definitions import load
    from metrics.metric import MetricError
    from pipelines.lib.manifest import ManifestError

    try:
        changed = written(marts(), load(contracts()), hidden())
    except (DashboardError, ManifestError, MetricError) as error:
        raise DashboardsRefused(str(error)) from error
    for path in changed:
        typer.echo(Path(path).relative_to(ROOT))


@app.command()
def save(
    slugs: Annotated[list[str] | None, typer.Argument(help="Which; those of the files when none is named.")] = None,
    folder: Annotated[Path, typer.Option("--to", help="Where to; by default the files themselves.")] = ROOT
    / "dashboards"
    / "assets",
) -> None:
    """Bring dashboards and charts that were changed in Superset back to their files, then check them."""
    from dashboards.files import DashboardError, read
    from dashboards.saved import saved

    try:
        assets = read()
    except DashboardError as error:
        raise DashboardsRefused(str(error)) from error
    files = saved(_exported(slugs or [dashboard.slug for dashboard in assets.dashboards]), assets, folder)
    for path, content in files.items():
        if not path.exists() or path.read_text() != content:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(content)
            typer.echo(path)
    if folder.resolve() == (ROOT / "dashboards" / "assets").resolve():
        checked()


def _exported(slugs: list[str]) -> dict[str, dict[str, object]]:
    """What Superset says of the dashboards. Raises DashboardsRefused."""
    from stack.processes.dashboards import inside
    from stack.settings import load_settings, stored_variables

    with tempfile.TemporaryDirectory() as place:
        file = Path(place, "export.json")
        command, environment = inside(stored_variables(load_settings()), "dashboards.server.export", str(file), *slugs)
        ran = subprocess.run(command, env=environment, cwd=ROOT, capture_output=True, text=True, check=False)
        if ran.returncode != 0:
            said = ran.stderr.strip().splitlines()
            raise DashboardsRefused(
                f"{said[-1] if said else 'Superset said nothing'} (does `millrace status` show superset?)"
            )
        found: dict[str, dict[str, object]] = json.loads(file.read_text())
        return found


def checked() -> int:
    """How many charts stand on dashboards. Raises DashboardsRefused with a line for each fault."""
    from dashboards.faults import faults
    from dashboards.files import DashboardError, read
    from dashboards.marts import marts
    from metrics.contracts import contracts
    from metrics.definitions import load
    from metrics.metric import MetricError
    from pipelines.lib.manifest import ManifestError

    try:
        assets = read()
        found = faults(assets, marts(), load(contracts()))
    except (DashboardError, ManifestError, MetricError) as error:
        raise DashboardsRefused(str(error)) from error
    if found:
        raise DashboardsRefused("\n".join(found))
    return len(list(assets.tiles()))


def hidden() -> dict[str, tuple[str, ...]]:
    """What analysts may not see of a mart, and so no dashboard shows."""
    from stack.processes.clickhouse_users import HIDDEN_COLUMNS

    return HIDDEN_COLUMNS
