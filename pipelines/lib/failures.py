"""What a run died of, as one of three kinds, and whether trying again can help.

    server away        something did not answer or was overloaded; the step is tried again, later each time, a few times
    wrong numbers      a test of the data found something; the same data give the same answer
    wrong definition   SQL, a setting or a right is wrong; a person has to change something

Only the first is tried again. The kind stands on the run as the tag `millrace/failure`, so that the list of runs, the
alert and whoever is woken say the same. What cannot be told apart is taken for a wrong definition: that wakes a person.
A query that needed too much memory is not tried again: it would need it again.
"""

import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from enum import StrEnum
from pathlib import Path

import clickhouse_connect.driver.exceptions as clickhouse
import dagster as dg
import httpx

TAG = "millrace/failure"
ATTEMPTS = 3
"""Tries after the first one."""
FIRST_DELAY = 5.0
"""Seconds before the second try; each further one waits twice as long."""

_OVERLOADED = (202, 209, 210, 252, 279, 425)
"""ClickHouse: too many queries at once, socket timeout, network, too many parts, no connection, system error."""
_OVERLOADED_TEXT = "|".join(map(str, _OVERLOADED))
_AWAY = re.compile(
    r"Connection refused|Max retries exceeded|Connection reset|Connection aborted|RemoteDisconnected"
    r"|Remote end closed|Read timed out|Failed to establish|Network is unreachable|timed out"
    rf"|code:? ({_OVERLOADED_TEXT})\b|Code: ({_OVERLOADED_TEXT})\."
)
_REFUSED_BY_POSTGRES = ("28", "3D", "42")
"""Classes of SQLSTATE that no waiting mends: who may connect, which database, rights and syntax."""


class Kind(StrEnum):
    """What a run died of."""

    AWAY = "server away"
    NUMBERS = "wrong numbers"
    DEFINITION = "wrong definition"


class DbtFailed(Exception):
    """A dbt call did not succeed; names the nodes and says of what kind it is."""

    def __init__(self, kind: Kind, text: str) -> None:
        super().__init__(text)
        self.kind = kind


def of_text(text: str) -> Kind:
    """Kind of a failure that is only known by what was printed."""
    return Kind.AWAY if _AWAY.search(text) else Kind.DEFINITION


def of_dbt(run_results: Path, printed: str) -> DbtFailed:
    """What a dbt call died of, read from its run_results.json; without one (it did not get so far) from what it printed.

    A node that could not reach the server outweighs tests that failed: what it would have said is not known.
    """
    if not run_results.exists():
        return DbtFailed(of_text(printed), f"dbt did not run: {_last_words(printed)}")
    results = json.loads(run_results.read_bytes())["results"]
    broken = {each["unique_id"]: str(each["message"]) for each in results if each["status"] == "error"}
    unmet = [each["unique_id"] for each in results if each["status"] == "fail"]
    if away := [name for name, message in broken.items() if _AWAY.search(message)]:
        return DbtFailed(Kind.AWAY, f"the warehouse did not answer for {_named(away)}: {_in_a_line(broken[away[0]])}")
    if broken:
        message = next(iter(broken.values()))
        return DbtFailed(Kind.DEFINITION, f"cannot be built: {_named(list(broken))}: {_in_a_line(message)}")
    if unmet:
        return DbtFailed(Kind.NUMBERS, f"tests failed: {_named(unmet)}; what hangs on them was left as it was")
    return DbtFailed(of_text(printed), f"dbt ended badly: {_last_words(printed)}")


def kind_of(error: BaseException) -> Kind:
    """Kind of an exception, by the innermost cause that says something."""
    import psycopg

    from cdc.errors import TransientError

    if isinstance(error, DbtFailed):
        return error.kind
    if isinstance(error, psycopg.OperationalError):
        refused = str(error.sqlstate or "").startswith(_REFUSED_BY_POSTGRES) or "authentication failed" in str(error)
        return Kind.DEFINITION if refused else Kind.AWAY
    if isinstance(error, clickhouse.OperationalError | TransientError | httpx.TransportError | ConnectionError):
        return Kind.AWAY
    if isinstance(error, clickhouse.DatabaseError):
        return of_text(str(error))
    if isinstance(error, TimeoutError):
        return Kind.AWAY
    return kind_of(error.__cause__) if error.__cause__ is not None else Kind.DEFINITION


def delay(attempt: int) -> float:
    """Seconds to wait before try number `attempt` + 2."""
    return FIRST_DELAY * float(2**attempt)


@contextmanager
def typed_failures(context: dg.OpExecutionContext) -> Iterator[None]:
    """Turn what is raised inside into a failure of a kind: tried again when a server was away, final otherwise."""
    try:
        yield
    except dg.RetryRequested:
        raise
    except Exception as error:
        kind = kind_of(error)
        if kind is Kind.AWAY and context.retry_number < ATTEMPTS:
            wait = delay(context.retry_number)
            context.log.warning("%s: %s; trying again in %.0f s", kind, _last_words(str(error)), wait)
            raise dg.RetryRequested(max_retries=ATTEMPTS, seconds_to_wait=wait) from error
        context.instance.add_run_tags(context.run_id, {TAG: kind.value})
        raise dg.Failure(
            f"{kind}: {str(error).strip() or type(error).__name__}", metadata={"kind": kind.value}, allow_retries=False
        ) from error


def _named(nodes: list[str], shown: int = 5) -> str:
    names = [node.split(".")[2] for node in nodes]
    return ", ".join(names[:shown]) + (f" and {len(names) - shown} more" if len(names) > shown else "")


def _in_a_line(message: str) -> str:
    """What dbt says of a node, without where it keeps the compiled SQL and which macro called which."""
    lines = [line.strip() for line in message.splitlines()]
    return " ".join(line for line in lines if line and not line.startswith((">", "compiled code at")))[:500]


def _last_words(text: str) -> str:
    lines = [line.strip() for line in text.strip().splitlines() if line.strip()]
    return lines[-1][:500] if lines else "nothing was printed"
