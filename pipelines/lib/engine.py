"""How far the engine is, as it says itself: `cdc.status` asked once, in the words of assets.

Each hop is judged by its own age, so that the hop that is late is the one that is red: a topic by the heartbeat that every
source's connector writes into Kafka each five seconds, a copy by its oldest change that Kafka has and the copy lacks. A
source in which nothing happens grows no older by that.
"""

import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from cdc.kafka import Kafka
    from cdc.status import Status

HEARTBEATS = "__debezium-heartbeat."
TARGETS = ("clickhouse", "elasticsearch")


@dataclass(frozen=True)
class Behind:
    """How far one asset is behind: seconds, records that wait (of a topic none), and why it is not followed at all."""

    seconds: float
    records: int = 0
    stopped: str | None = None


@dataclass(frozen=True)
class Facts:
    """The hops by name: topics and copies by `<source>.<schema>.<table>`, indexes by source."""

    topics: dict[str, Behind]
    copies: dict[str, Behind]
    indexes: dict[str, Behind]
    status: "Status"


@contextmanager
def asked() -> Iterator[tuple["Status", "Kafka"]]:
    """The engine's status as of now, and Kafka for further questions. Raises the engine's errors."""
    from cdc import state as engine_state
    from cdc.kafka import Kafka
    from cdc.settings import settings
    from cdc.status import collect

    config = settings()
    with closing(Kafka(config.kafka_bootstrap)) as kafka, engine_state.connect(config.millrace_state_dsn) as state:
        yield collect(config, state, kafka), kafka


def facts() -> Facts:
    """What every hop of the engine is behind."""
    with asked() as (status, kafka):
        heard = {source.source: silence(kafka, source.source) for source in status.sources}
    found = Facts({}, {}, {}, status)
    for source in status.sources:
        stopped = source.problem or (None if source.connector == "running" else f"connector {source.connector}")
        waiting = []
        for table in source.tables:
            found.topics[table.table] = Behind(heard[source.source], stopped=stopped)
            lags = {lag.target: Behind(lag.seconds, lag.records, table.parked) for lag in table.lags}
            found.copies[table.table] = lags.get("clickhouse", Behind(0.0, 0, table.parked))
            waiting += [lags["elasticsearch"]] if "elasticsearch" in lags else []
        if waiting:
            found.indexes[source.source] = Behind(
                max(each.seconds for each in waiting),
                sum(each.records for each in waiting),
                next((each.stopped for each in waiting if each.stopped), None),
            )
    return found


def silence(kafka: "Kafka", source: str) -> float:
    """Seconds since the source's connector last wrote a heartbeat; infinite if it never did."""
    topic = f"{HEARTBEATS}{source}"
    ages = [float("inf")]
    for partition, (first, end) in kafka.bounds(topic).items():
        if end > first and (record := kafka.record_at(topic, partition, end - 1)):
            ages.append(max(0.0, time.time() - record[0]))
    return min(ages)
