"""`millrace`: one command for the whole platform.

Commands of other folders are imported only when they are called, so that `millrace status` stays quick. They find the
running stack's addresses in the environment, filled in here for whatever is not set already.

An installed wheel holds the engine alone: there `millrace cdc` works, with addresses from the environment, and every other
command says that it needs the repository.
"""

import importlib
import os
import signal
import sys

import typer

from stack.commands import stack as stack_commands
from stack.errors import StackError
from stack.settings import IN_CHECKOUT, load_settings, stored_variables

ELSEWHERE = {
    "cdc": ("cdc.commands", "capture: plan and apply sources, prove the copies equal"),
    "search": ("cdc.commands.search", "search indexes: build one anew beside the one in use, go back, status"),
    "saga": ("stack.commands.saga", "orders that are being placed or cancelled: list, show, retry, cancel"),
    "lineage": ("stack.commands.lineage", "what hangs on a column, from a service to the metrics; where it comes from"),
    "dashboards": ("stack.commands.dashboards", "the dashboards' files: hold them against marts and metrics"),
    "demo": ("stack.demo.command", "the main job, end to end, proven equal"),
    "simulate": ("stack.simulate.command", "a past for the shop, by bulk paths, the same for the same seed"),
    "check": ("services.invariants.command", "what must hold across the services, looked at now"),
    "chaos": ("bench.chaos.command", "break every process under load, and judge the copies"),
    "chaos-orders": (
        "bench.chaos.orders_command",
        "kill what orders need while they are placed, and judge the outcome",
    ),
    "bench": ("bench.commands", "measure something beside its ceiling"),
}
"""Commands whose modules belong to other folders: name -> (module with a typer `app`, one line of help)."""

ON_A_STACK = {"bench", "chaos", "chaos-orders"}
"""Those that need one that has been started; the others say themselves what they lack."""

INSTALLED = "cdc"
"""The command that works without the repository."""


def _add_from_elsewhere(application: typer.Typer, called: str | None) -> None:
    """Add the commands of other folders: the one that is called imported, the rest as a name and a line of help."""
    for name, (module, summary) in ELSEWHERE.items():
        if name != called:
            application.command(name, help=summary, hidden=not IN_CHECKOUT and name != INSTALLED)(_unused)
            continue
        if IN_CHECKOUT or "MILLRACE_HOME" in os.environ:
            for variable, value in stored_variables(load_settings()).items():
                os.environ.setdefault(variable, value)
        loaded: typer.Typer = importlib.import_module(module).app
        single = loaded.registered_commands[0].callback if loaded.registered_callback is None else None
        if single is not None and len(loaded.registered_commands) == 1:
            application.command(name)(single)
        else:
            application.add_typer(loaded, name=name, help=summary)


def _unused() -> None:
    """Stands for a command that was not called."""


app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="Millrace: PostgreSQL, ClickHouse and Elasticsearch whose copies are proven equal.",
)
_of_the_stack = stack_commands.register(app, hidden=not IN_CHECKOUT)


def _refuse_without_repository(called: str | None) -> None:
    """Raise StackError where the command needs what a wheel does not hold."""
    if not IN_CHECKOUT and called in {*_of_the_stack, *ELSEWHERE} - {INSTALLED}:
        raise StackError(
            f"`millrace {called}` needs Millrace's repository, and this is the installed package: clone it and run "
            f"`make up` there; `millrace {INSTALLED}` works here"
        )


def _refuse_without_stack(called: str | None) -> None:
    """Raise StackError where the command works on a stack, and none was ever started here."""
    if called in ON_A_STACK and "--help" not in sys.argv and "POSTGRES_ADMIN_DSN" not in os.environ:
        raise StackError("there is no stack yet: run `millrace up`")


def _give_back(number: int, _: object) -> None:
    """End as by Ctrl-C: what a bench or a chaos run has made of its own is taken away on the way out."""
    signal.signal(number, signal.SIG_IGN)  # one is enough
    sys.exit(128 + number)


def main() -> None:
    """Entry point: a StackError becomes its message and exit status 2."""
    called = sys.argv[1] if len(sys.argv) > 1 else None
    try:
        _refuse_without_repository(called)
        _add_from_elsewhere(app, called)
        _refuse_without_stack(called)
        if called in ON_A_STACK:
            signal.signal(signal.SIGTERM, _give_back)
        app()
    except StackError as error:
        for line in str(error).splitlines():
            print(f"millrace: {line}", file=sys.stderr)
        sys.exit(2)


if __name__ == "__main__":
    main()
