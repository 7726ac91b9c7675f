"""One chaos run: a throw-away source, the load and the faults beside each other, then silence, then the judgement.

The source lives on a pair of servers of its own: its standby is promoted, which nobody would do to the stack's.
"""

import math
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import asdict, dataclass
from typing import Any

import psycopg

from bench.chaos.document_oracle import TREE, judge_documents
from bench.chaos.faults import PROMOTE, SOURCE, Faults, schedule
from bench.chaos.load import ROW_KINDS, SHAPE_KINDS, TABLES, Load
from bench.chaos.oracle import Judgement, judge
from bench.chaos.pair import postgres_pair
from bench.chaos.processes import wait_until_healthy
from bench.source import ThrowAwaySource, throw_away_source
from cdc import clickhouse, documents, failpoints, floors, source_database
from cdc import state as engine_state
from cdc.catalog import altered
from cdc.documents import index
from cdc.errors import CdcError
from cdc.kafka import Kafka
from cdc.settings import settings as engine_settings
from cdc.sinks.positions import CLICKHOUSE_GROUP, DOCUMENTS_GROUP
from cdc.verify.passed import wait_until_passed
from stack.settings import Settings

PROCESSES = (
    "clickhouse-sink", "document-sink", "connect", "postgres", "clickhouse", "elasticsearch", "kafka", "cdc-keeper", SOURCE,
)  # fmt: skip
KEYS = {"accounts": ["id"], "notes": ["id"], "lines": ["account", "line"], "scratch": ["id"]}
_SINK_FAILPOINTS = tuple(name for name in failpoints.NAMES if name.startswith(("sink.", "documents.", "shapes.")))
_PAIR_PORTS = 64  # from the stack's first port
_SETTLE = 300.0
_POLL = 0.5


@dataclass(frozen=True)
class Outcome:
    """What was done and what came of it; ``short_of`` says what a run of this length must do and did not."""

    seed: int
    seconds: float
    changes: dict[str, int]
    kills: dict[str, int]
    other_faults: dict[str, int]
    failpoints: dict[str, int]
    tables: tuple[Judgement, ...]
    documents: tuple[Judgement, ...]
    short_of: tuple[str, ...]

    @property
    def equal(self) -> bool:
        """Whether every table equals its copy, and every document its rows."""
        return all(judgement.equal for judgement in (*self.tables, *self.documents))

    def document(self) -> dict[str, Any]:
        """The outcome as the JSON of the command."""
        return asdict(self) | {"equal": self.equal}


def run(settings: Settings, admin_dsn: str, minutes: float, seed: int, say: Callable[[str], None]) -> Outcome:
    """Run chaos on a running stack for so many minutes.

    Raises:
        CdcError, TimeoutError: the stack did not come to rest afterwards; says what it waits for.
    """
    seconds = minutes * 60
    name = f"chaos{seed}"
    with (
        postgres_pair(settings.home / "chaos-postgres", settings.port_base + _PAIR_PORTS) as pair,
        throw_away_source(name, TABLES, TREE.format(index=name), admin=pair.admin_dsn) as source,
        _well_when_given_up(settings),
    ):
        source.apply()
        _arm(seconds)
        faults = Faults(settings, admin_dsn, pair, source.file.slot, say)
        load = Load(source.dsn, seed)
        began = time.monotonic()
        with load.running():
            faults.run(schedule(seed, seconds, PROCESSES), lambda: time.monotonic() - began)
            time.sleep(max(seconds - (time.monotonic() - began), 0))  # how long the load was asked to run
        say(f"{time.monotonic() - began:6.1f} s  the load has ended; waiting until all is well and written")
        wait_until_healthy(settings, _SETTLE)
        hits = _disarm()
        _wait_until_settled(source)
        tables, indexes = _judge(source)
    short_of = _short_of(load.counts, faults.kills, faults.others, seconds)
    done = (dict(load.counts), dict(faults.kills), dict(faults.others))
    return Outcome(seed, seconds, *done, hits, tables, indexes, short_of)


def _short_of(changes: Counter[str], kills: Counter[str], others: Counter[str], seconds: float) -> tuple[str, ...]:
    wanted = 1000 * seconds / 600
    killed = max(1, math.floor(3 * seconds / 600))
    promoted = sum(count for kind, count in others.items() if kind.startswith(PROMOTE))
    return (
        *(
            f"{changes.get(kind, 0)} of {wanted:.0f} changes: {kind}"
            for kind in ROW_KINDS
            if changes.get(kind, 0) < wanted
        ),
        *(
            f"{changes.get(kind, 0)} of {math.floor(2 * seconds / 600)} changes of shape: {kind}"
            for kind in SHAPE_KINDS
            if changes.get(kind, 0) < math.floor(2 * seconds / 600)
        ),
        *(f"{kills.get(name, 0)} of {killed} kills: {name}" for name in PROCESSES if kills.get(name, 0) < killed),
        *([f"{promoted} of {killed} promotions"] if promoted < killed else []),
    )


@contextmanager
def _well_when_given_up(settings: Settings) -> Iterator[None]:
    """A run that is given up leaves nothing armed; it goes on once the stack is well again, so that the source can be taken out."""
    try:
        yield
    except BaseException:
        wait_until_healthy(settings, _SETTLE)
        _disarm()
        raise


def _arm(seconds: float) -> None:
    hits = max(1, round(2 * seconds / 600))
    with engine_state.connect(engine_settings().millrace_state_dsn) as state, state.cursor() as cursor:
        cursor.execute("DELETE FROM millrace.failpoints")
        cursor.executemany(
            "INSERT INTO millrace.failpoints (name, left_over) VALUES (%s, %s)",
            [(name, hits) for name in _SINK_FAILPOINTS],
        )


def _disarm() -> dict[str, int]:
    with engine_state.connect(engine_settings().millrace_state_dsn) as state:
        hits = state.execute("SELECT name, hits FROM millrace.failpoints WHERE hits > 0 ORDER BY name").fetchall()
        state.execute("DELETE FROM millrace.failpoints")
    return {str(name): int(count) for name, count in hits}


def _wait_until_settled(source: ThrowAwaySource) -> None:
    """Return once the sinks have passed the end of the load, floors are settled and nothing waits to be mended."""
    config = engine_settings()
    deadline = time.monotonic() + _SETTLE
    while True:
        try:
            waits = _waits_for(source, config.millrace_state_dsn, config.kafka_bootstrap)
        except (CdcError, psycopg.OperationalError) as error:
            waits = " ".join(str(error).split())
        if waits is None:
            return
        if time.monotonic() > deadline:
            raise TimeoutError(f"not settled {_SETTLE:g} s after the load: {waits}")
        time.sleep(_POLL)  # polls positions and requests in the state


def _waits_for(source: ThrowAwaySource, state_dsn: str, bootstrap: str) -> str | None:
    kafka = Kafka(bootstrap)
    try:
        with engine_state.connect(state_dsn) as state, source_database.connect(source.file) as session:
            captured = engine_state.captured_tables(state, source.name)
            if any(altered(session, [table.shape]) for table in captured):
                return "a table was altered and is not followed yet"
            if parked := [table.parked for table in captured if table.parked]:
                return f"a table is not followed: {parked[0]}"
            topics = [table.shape.topic for table in captured]
            lsn = source_database.insert_lsn(session)
            wait_until_passed(source.file, session, kafka, [CLICKHOUSE_GROUP], topics, lsn, patience=_SETTLE)
            topics = [topic for tree in documents.load_trees(source.file, session) for topic in tree.topics]
            then = [documents.roots_topic(source.name)]
            wait_until_passed(source.file, session, kafka, [DOCUMENTS_GROUP], topics, lsn, then=then, patience=_SETTLE)
            if mend := [table.mend for table in engine_state.captured_tables(state, source.name) if table.mend]:
                return f"a copy waits to be mended: {mend[0]}"
            if any(not each.settled for each in floors.everything(state, source.name)):
                return "a floor or a snapshot is not settled"
    finally:
        kafka.close()
    return None


def _judge(source: ThrowAwaySource) -> tuple[tuple[Judgement, ...], tuple[Judgement, ...]]:
    config = engine_settings()
    target = clickhouse.engine_client(config)
    with (
        psycopg.connect(source.dsn, autocommit=True, options="-c timezone=UTC") as session,
        closing(index.connect(config.elasticsearch_url)) as elasticsearch,
    ):
        tables = tuple(judge(session, target, f"raw_{source.name}", table, key) for table, key in KEYS.items())
        return tables, (judge_documents(session, elasticsearch, source.name),)
