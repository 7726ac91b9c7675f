"""What may be wrong: jobs whose last run failed, checks that do not hold, and what the engine says of itself.

Each look is the whole truth of the moment, not the news since the last one: what is not named any more is over.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence

import dagster as dg

from pipelines.lib.alerts import Alert
from pipelines.lib.failures import TAG, Kind
from pipelines.lib.instance import Judged, last_over

PAGE = "docs/pipelines.md"
ENGINE_PAGE = "docs/runbooks/cdc.md"
PAGES = {
    "fresh": f"{PAGE}#something-is-late",
    "equals_postgres": f"{PAGE}#a-copy-differs",
    "equals_source": f"{PAGE}#an-index-differs",
    "meets_expectations": f"{PAGE}#a-mart-does-not-meet-its-expectations",
}
OF_DBT = f"{PAGE}#a-test-of-dbt-fails"
KINDS = {
    Kind.AWAY.value: ("a server did not answer, however often it was asked", f"{PAGE}#server-away"),
    Kind.DEFINITION.value: ("something has to be changed before it can run again", f"{PAGE}#wrong-definition"),
    Kind.NUMBERS.value: ("a test of the data found something", f"{PAGE}#wrong-numbers"),
}
AWAY = "engine/away"
DIED = ("its process ended, or it was never begun", f"{PAGE}#the-run-died")


def failed_runs(instance: dg.DagsterInstance, jobs: Iterable[str], owner: str) -> Iterator[Alert]:
    """One alert for each job whose last run that is over failed.

    Failed tests are left to `failing_checks`: those go to whom the mart belongs.
    """
    for job in jobs:
        run = last_over(instance, job)
        if run is None or run.status is not dg.DagsterRunStatus.FAILURE or run.tags.get(TAG) == Kind.NUMBERS.value:
            continue
        means, page = KINDS.get(run.tags.get(TAG, ""), DIED)
        yield Alert(
            f"run/{job}",
            owner,
            f"job {job} failed: {run.tags.get(TAG, 'the run died')}",
            means,
            page,
            (),
            f"run {run.run_id}",
        )


def failing_checks(
    judged: Iterable[Judged], owners: Mapping[dg.AssetKey, Sequence[str]], otherwise: str
) -> Iterator[Alert]:
    """One alert for each kind of check, layer and owner of which some do not hold; the findings name them."""
    found: dict[tuple[str, str, str], list[str]] = {}
    for each in judged:
        if each.holds:
            continue
        layer, name = each.key.asset_key.path[0], each.key.name
        kind = name if name in PAGES else "dbt"
        owner = next(iter(owners.get(each.key.asset_key, ())), otherwise)
        asset = "/".join(each.key.asset_key.path)
        found.setdefault((kind, layer, owner), []).append(asset if kind != "dbt" else f"{asset}: {name}")
    for (kind, layer, owner), names in sorted(found.items()):
        what = "tests of dbt fail" if kind == "dbt" else f"not {kind}"
        yield Alert(
            f"check/{kind}/{layer}/{owner}",
            owner,
            f"{layer}: {what}: {len(names)}",
            "What a check says of the data; the marts that hang on it keep what they had.",
            PAGES.get(kind, OF_DBT),
            tuple(sorted(names)),
        )


def engine_problems(owner: str, known: Iterable[Alert]) -> Iterator[Alert]:
    """What the engine says is wrong: open dead letters, tables that are not followed, connectors that do not run.

    While it cannot be asked, that is what is wrong, and what was `known` to be wrong is taken to be so still.
    """
    import psycopg

    from cdc.errors import CdcError
    from cdc.status import problems
    from pipelines.lib import engine

    try:
        with engine.asked() as (status, _):
            found = problems(status)
    except (CdcError, psycopg.OperationalError) as error:
        reason = " ".join(str(error).split())
        yield Alert(AWAY, owner, "the engine cannot be asked", reason, f"{PAGE}#server-away")
        yield from (alert for alert in known if alert.key != AWAY)
        return
    for problem in found:
        subject = problem.what.split(":")[0].split(" ")[0]
        yield Alert(
            f"engine/{problem.section}/{subject}",
            owner,
            problem.what,
            f"{problem.means} {problem.command}",
            f"{ENGINE_PAGE}#{problem.section}",
        )
