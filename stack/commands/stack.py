"""Commands that start, stop and show the stack: up, down, status, env, logs, doctor."""

import json
import subprocess
import sys
from collections.abc import Mapping
from contextlib import ExitStack
from typing import Annotated

import typer

from stack.errors import NotRunning, StackError
from stack.progress import Lines, Progress, Screen
from stack.settings import ROOT, load_settings, stored_variables

AsJson = Annotated[bool, typer.Option("--json", help="As one JSON document.")]


def register(app: typer.Typer, *, hidden: bool) -> list[str]:
    """Add the commands to the application; returns their names."""
    for command in (commands := (up, down, status, env, logs, doctor)):
        app.command(hidden=hidden)(command)
    return [command.__name__ for command in commands]


def up(
    only: Annotated[str, typer.Option(help="Comma-separated processes; what they need is started too.")] = "",
    additions: Annotated[str, typer.Option("--with", help="What not every stack has: dashboards.")] = "",
) -> None:
    """Start what does not run yet, wait until all of it is healthy."""
    from stack import launcher

    names, added = _names(only), _names(additions)
    for addition in added:
        _fetch(addition)
    try:
        with ExitStack() as context:
            progress: Progress = context.enter_context(Screen()) if sys.stderr.isatty() else Lines()
            done = launcher.up(load_settings(), names, progress, added)
    except KeyboardInterrupt:
        typer.echo("millrace: interrupted; what was started goes on, `millrace down` ends it", err=True)
        raise typer.Exit(130) from None
    if done.ended_orphans:
        typer.echo(f"ended what a dead supervisor had left: {', '.join(done.ended_orphans)}")
    if done.processes or done.jobs:
        typer.echo(f"up: {len(done.processes)} processes started in {done.seconds:.1f} s")
    else:
        typer.echo(f"already up ({done.seconds:.1f} s)")
    if added:
        typer.echo(_dashboards(stored_variables(load_settings())))


def _names(listed: str) -> list[str]:
    return [name.strip() for name in listed.split(",") if name.strip()]


def _fetch(addition: str) -> None:
    """Get what the addition runs on, where it is not there yet. Raises StackError."""
    from stack.bootstrap import ADDITIONS

    if addition not in ADDITIONS:
        raise StackError(f"nothing is called {addition!r} that could be added; there are: {', '.join(ADDITIONS)}")
    fetching = [sys.executable, str(ROOT / "stack" / "bootstrap.py"), addition]
    if subprocess.run(fetching, check=False).returncode != 0:
        raise StackError(f"{addition} could not be fetched, see above; nothing was started")


def _dashboards(variables: Mapping[str, str]) -> str:
    """Where they are and who may enter."""
    return (
        f"dashboards: {variables['SUPERSET_URL']} (users analyst and admin; passwords: SUPERSET_ANALYST_PASSWORD and "
        "SUPERSET_ADMIN_PASSWORD of `millrace env`; docs/dashboards.md)"
    )


def down() -> None:
    """Stop every process of the stack; data and passwords stay."""
    from stack import launcher

    with ExitStack() as context:
        progress: Progress = context.enter_context(Screen()) if sys.stderr.isatty() else Lines()
        done = launcher.down(load_settings(), progress)
    if done.orphans:
        typer.echo(f"ended leftovers: {', '.join(done.orphans)}")
    typer.echo(f"down: {len(done.processes)} processes stopped in {done.seconds:.1f} s" if done.processes else "down")


def status(as_json: AsJson = False) -> None:
    """Show each process: state, memory, time since its start; exits with 1 when one is not healthy."""
    from stack import inspection

    report = inspection.report(load_settings())
    typer.echo(json.dumps(report.document(), indent=2) if as_json else inspection.table(report))
    up = {process.name for process in report.processes if process.pid}
    if not as_json and "status-page" in up:
        typer.echo(f"status page: {stored_variables(load_settings())['STATUS_PAGE_URL']}")
    if not as_json and "clickhouse" in up:
        page = f"{stored_variables(load_settings())['CLICKHOUSE_URL']}/play?user=analyst"
        typer.echo(
            f"SQL for analysts: {page} (password: CLICKHOUSE_ANALYST_PASSWORD of `millrace env`; docs/analysts.md)"
        )
    if not as_json and "superset" in up:
        typer.echo(_dashboards(stored_variables(load_settings())))
    if not report.healthy:
        raise typer.Exit(1)


def env(as_json: AsJson = False) -> None:
    """Print addresses and credentials: for eval, or with --json for programs."""
    from stack.environment import document, shell

    variables = stored_variables(load_settings())
    if not variables:
        raise NotRunning("there is no stack yet: run `millrace up`")
    typer.echo(json.dumps(document(variables), indent=2) if as_json else shell(variables))


def logs(
    name: Annotated[str, typer.Argument(help="A process or a one-time job.")],
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on as lines are added.")] = False,
    lines: Annotated[int, typer.Option("--lines", "-n", min=0, help="How many of the last lines.")] = 50,
) -> None:
    """Show the log of a process."""
    from stack import inspection

    for line in inspection.log_lines(load_settings(), name, lines, follow=follow):
        typer.echo(line)


def doctor() -> None:
    """Check the machine: every check with its remedy; exits with 1 when something is to be done."""
    from stack import inspection

    findings = list(inspection.examination(load_settings()))
    for finding in findings:
        typer.echo(f"ok    {finding.title}" if finding.well else f"FAULT {finding.remedy}")
    if not all(finding.well for finding in findings):
        raise typer.Exit(1)
