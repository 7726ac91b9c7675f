"""Everything that is wrong, what stands first mended first: servers, processes, then what follows from them."""

from collections.abc import Iterable, Mapping

from cdc.page.parts import Part
from cdc.status import Problem, Status, problems

TARGETS = {"clickhouse": "ClickHouse", "elasticsearch": "Elasticsearch", "cache": "caches"}
PROCESSES = {"clickhouse": "cdc.sinks.clickhouse", "elasticsearch": "cdc.documents", "cache": "cdc.invalidation"}


def everything_wrong(
    status: Status | None, parts: Iterable[Part], members: Mapping[str, int], faults: Iterable[str]
) -> list[Problem]:
    """The problems of a look.

    Args:
        status: the status, as far as it could be asked, now or earlier.
        parts: the servers and processes with their answers.
        members: how many processes read for each target; empty when Kafka was never asked.
        faults: why the look is not whole.
    """
    found = [
        Problem(
            fault,
            "What this page shows below of the way of the data is what was seen before.",
            "millrace up",
            "a-server-does-not-answer",
        )
        for fault in faults
    ]
    found += [_away(part) for part in parts if part.fault is not None]
    if status is None:
        return found
    used = {lag.target for source in status.sources for table in source.tables for lag in table.lags}
    found += [
        Problem(
            f"no process writes to {TARGETS[target]}",
            "Changes wait in Kafka, for as long as it keeps them; nothing is lost until then.",
            "millrace up",
            "a-process-does-not-run",
        )
        for target, count in members.items()
        if count == 0 and target in used
    ]
    return found + problems(status)


def _away(part: Part) -> Problem:
    if part.kind == "server":
        return Problem(
            f"{part.name} does not do its work: {part.fault}",
            "What is to be written to it waits in Kafka or in the sources' logs, and goes on by itself when it is back.",
            "millrace up",
            "a-server-does-not-answer",
        )
    return Problem(
        f"{part.name} does not do its work: {part.fault}",
        "It may be starting. What it has to do waits, and nothing is lost meanwhile.",
        f"millrace logs {part.name}",
        "a-process-does-not-run",
    )
