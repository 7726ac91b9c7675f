"""Build every mart and run every check once, here and now: `python -m pipelines.run`.

The run is the job `everything`, executed in this process with the instance of DAGSTER_HOME, so the UI shows it like any
other, with its logs. Exit status 0 means that every model was built and every check passed; 1 that something failed,
each named; 2 that there is no instance to record it in.
"""

import json
import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    import dagster as dg


@dataclass(frozen=True)
class Outcome:
    """What the run did. `failed` names checks as asset:check, and steps that could not work, with the reason; `warned`
    names checks that found something for a person to look at."""

    run_id: str
    materialized: int
    checks: dict[str, int]
    failed: list[str] = field(default_factory=list)
    warned: list[str] = field(default_factory=list)
    seconds: float = 0.0


def build_everything(full_refresh: bool = False) -> Outcome:
    """Run the job in this process; needs DAGSTER_HOME and the addresses of ClickHouse and the sources."""
    import dagster as dg  # after the arguments were understood: this takes seconds

    from pipelines.definitions import defs

    started = time.monotonic()
    with dg.DagsterInstance.get() as instance:
        result = defs.resolve_job_def("everything").execute_in_process(
            instance=instance,
            raise_on_error=False,
            run_config={
                "ops": {"marts": {"config": {"full_refresh": full_refresh}}},
                "loggers": {"console": {"config": {"log_level": "CRITICAL"}}},
            },
            tags={"millrace/started_by": "pipelines.run"},
        )
    evaluations = result.get_asset_check_evaluations()
    unmet = [each for each in evaluations if not each.passed]
    warned = [named(each) for each in unmet if each.severity == dg.AssetCheckSeverity.WARN]
    failed = [named(each) for each in unmet if each.severity != dg.AssetCheckSeverity.WARN]
    unable = [
        f"step {event.step_key}: {reason(event.step_failure_data.error)}"
        for event in result.all_events
        if event.is_step_failure
    ]
    if not result.success and not (failed or unable):
        unable = [f"run {result.run_id} did not end well; the UI shows why"]
    return Outcome(
        run_id=result.run_id,
        materialized=len(result.get_asset_materialization_events()),
        checks={"passed": len(evaluations) - len(unmet), "warned": len(warned), "failed": len(failed)},
        failed=sorted(failed) + unable,
        warned=sorted(warned),
        seconds=round(time.monotonic() - started, 1),
    )


def named(evaluation: "dg.AssetCheckEvaluation") -> str:
    """asset:check."""
    return f"{evaluation.asset_key.to_user_string()}:{evaluation.check_name}"


def reason(error: object) -> str:
    """First line of what a step died of, its cause before Dagster's wrapping."""
    cause = getattr(error, "cause", None) or error
    return str(getattr(cause, "message", "no reason given")).strip().splitlines()[0]


@contextmanager
def quiet_output() -> Iterator[None]:
    """What dbt prints goes into the run's own logs only; standard output stays the outcome's."""
    sys.stdout.flush()
    kept, nowhere = os.dup(1), os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 1)
    try:
        yield
    finally:
        sys.stdout.flush()
        os.dup2(kept, 1)
        os.close(kept)
        os.close(nowhere)


def main(
    as_json: Annotated[bool, typer.Option("--json", help="one JSON object instead of lines")] = False,
    full_refresh: Annotated[bool, typer.Option(help="rebuild incremental marts from nothing")] = False,
) -> None:
    """Build every mart and run every check."""
    if not os.environ.get("DAGSTER_HOME"):
        print(
            "DAGSTER_HOME is not set: it names the folder of the Dagster instance; see `millrace env`", file=sys.stderr
        )
        sys.exit(2)
    with quiet_output():
        outcome = build_everything(full_refresh)
    if as_json:
        print(json.dumps(asdict(outcome)))
    else:
        passed, failed = outcome.checks["passed"], outcome.checks["failed"]
        print(f"{outcome.materialized} materialized, {passed} checks passed, {failed} failed, {outcome.seconds} s")
        for word, names in (("warned", outcome.warned), ("failed", outcome.failed)):
            for name in names:
                print(f"{word}: {name}")
    sys.exit(1 if outcome.failed else 0)


if __name__ == "__main__":
    typer.run(main)
