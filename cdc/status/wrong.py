"""What a person should look at, in words for somebody who was woken: what is wrong, what it means, and the command that mends it."""

from collections.abc import Iterator
from dataclasses import dataclass

from cdc.status.collect import Status
from cdc.status.facts import SourceStatus, TableStatus

LOOK_AT_SLOT = 0.5
"""Share of what a slot may keep from which on a person should look."""
ACT_ON_SLOT = 0.9
"""Share from which on a person must act."""


@dataclass(frozen=True)
class Problem:
    """One thing that is wrong. ``command`` mends it, or shows more where only a person can; ``section`` is of the runbook."""

    what: str
    means: str
    command: str
    section: str

    @property
    def line(self) -> str:
        """It as one line of a terminal."""
        return f"{self.what}; `{self.command}`"


def problems(found: Status) -> list[Problem]:
    """Everything that is wrong, causes before what follows from them; empty when all flows."""
    return [
        *(
            Problem(
                f"{wait.member} has waited for {wait.seconds:.0f} s: {wait.reason}",
                "Nothing is lost: what is not written stays in Kafka, and the sink goes on by itself once its target can write.",
                "millrace status",
                "a-sink-waits-for-its-target",
            )
            for wait in found.waits
        ),
        *(problem for source in found.sources for problem in _of_source(source)),
        *(problem for source in found.sources for table in source.tables for problem in _of_table(table)),
    ]


def _of_source(source: SourceStatus) -> Iterator[Problem]:
    if source.problem:
        yield Problem(
            f"{source.source}: {source.problem}",
            "Until this is mended nothing new of this source may reach the copies. What was captured goes on being written.",
            "millrace cdc epoch",
            "a-source-cannot-be-asked",
        )
    if source.connector != "running":
        yield Problem(
            f"{source.source}: its connector is not running: {source.connector}",
            "Changes wait in the source's log, which grows meanwhile. The keeper restarts what failed; it has not helped so far.",
            "millrace logs connect",
            "a-connector-does-not-run",
        )
    if source.used is not None and source.used >= LOOK_AT_SLOT:
        urgent = "urgent: " if source.used >= ACT_ON_SLOT else ""
        of_file = source.limit is not None and source.most == source.limit
        yield Problem(
            f"{source.source}: {urgent}its slot holds {source.used:.0%} of what "
            f"{'slot_limit of its source file allows' if of_file else 'the server keeps for it'}",
            f"Beyond 100 % {'the keeper gives the slot up' if of_file else 'the server drops the slot'}, and every copy of this "
            "source has to be compared and mended.",
            "millrace logs connect",
            "a-slot-holds-much-log",
        )


def _of_table(table: TableStatus) -> Iterator[Problem]:
    if table.parked:
        yield Problem(
            f"{table.table} is not followed: {table.parked}",
            "Its copies stay as they are; its changes wait in their topic. Every other table flows.",
            "millrace cdc plan",
            "a-table-is-not-followed",
        )
    if table.open_letters:
        yield Problem(
            f"{table.table}: {table.open_letters} changes are parked",
            "The target refused them. Their keys are old in the copy; every other row flows.",
            "millrace cdc deadletters list",
            "changes-are-parked",
        )
    if table.differing:
        yield Problem(
            f"{table.table}: {table.differing} keys differed when it was verified",
            "The copy was not equal to its source then. Repair compares again and copies only what differs.",
            "millrace cdc repair",
            "a-copy-differs",
        )
