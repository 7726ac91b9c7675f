"""Commands that start, stop and show the stack: up, down, status, env, logs, doctor."""

import json
import sys
from contextlib import ExitStack
from typing import Annotated

import typer

from stack.errors import NotRunning
from stack.progress import Lines, Progress, Screen
from stack.settings import load_settings, stored_variables

AsJson = Annotated[bool, typer.Option("--json", help="As one JSON document.")]


def register(app: typer.Typer, *, hidden: bool) -> list[str]:
    """Add the commands to the application; returns their names."""
    for command in (commands := (up, down, status, env, logs, doctor)):
        app.command(hidden=hidden)(command)
    return [command.__name__ for command in commands]


def up(
    only: Annotated[str, typer.Option(help="Comma-separated processes; what they need is started too.")] = "",
) -> None:
    """Start what does not run yet, wait until all of it is healthy."""
    from stack import launcher

    names = [name.strip() for name in only.split(",") if name.strip()]
    try:
        with ExitStack() as context:
            progress: Progress = context.enter_context(Screen()) if sys.stderr.isatty() else Lines()
            done = launcher.up(load_settings(), names, progress)
    except KeyboardInterrupt:
        typer.echo("millrace: interrupted; what was started goes on, `millrace down` ends it", err=True)
        raise typer.Exit(130) from None
    if done.ended_orphans:
        typer.echo(f"ended what a dead supervisor had left: {', '.join(done.ended_orphans)}")
    if done.processes or done.jobs:
        typer.echo(f"up: {len(done.processes)} processes started in {done.seconds:.1f} s")
    else:
        typer.echo(f"already up ({done.seconds:.1f} s)")


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
