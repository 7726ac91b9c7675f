"""ClickHouse's disk is full: the sink waits and says for what, parks nothing, stays small, and goes on once there is room."""

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import closing
from functools import partial
from pathlib import Path

import pytest

from bench.source import ThrowAwaySource, throw_away_source
from cdc import clickhouse, dead_letters
from cdc import state as engine_state
from cdc.commands.status import wrong
from cdc.kafka import Kafka
from cdc.settings import settings
from cdc.status import Status, collect
from cdc.verify import verify_tables
from stack.settings import PORT_SPAN, ROOT
from tests.conftest import Stack
from tests.integration.cdc.conftest import run
from tests.integration.cdc.engine_processes import EngineProcess, engine_process
from tests.integration.cdc.small_disk import SmallDisk, small_disk
from tests.integration.cdc.waiting import eventually
from tests.own_clickhouse_server import PASSWORD

MB = 1 << 20
SIZE = 512 * MB
MOST_MEMORY = 512 * MB
NEEDED = ("MILLRACE_STATE_DSN", "KAFKA_BOOTSTRAP", "CONNECT_URL", "CONNECT_SECRETS_FILE", "ELASTICSEARCH_URL")


@pytest.fixture
def disk(stack: Stack, own_state: None, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[SmallDisk]:
    """The engine's ClickHouse in this test: one on a small disk."""
    with (
        small_disk(tmp_path / "home", stack.settings.port_base + PORT_SPAN, SIZE) as disk,
        monkeypatch.context() as own,
    ):
        own.setenv("CLICKHOUSE_URL", disk.url)
        own.setenv("CLICKHOUSE_CDC_PASSWORD", PASSWORD)
        settings.cache_clear()
        yield disk
    settings.cache_clear()


@pytest.fixture
def source(disk: SmallDisk) -> Iterator[ThrowAwaySource]:
    """A captured table that a sink of the test's own follows."""
    with throw_away_source("fulldisk", "CREATE TABLE t (id int PRIMARY KEY, v text)") as source:
        source.apply()
        yield source


@pytest.fixture
def sink(source: ThrowAwaySource) -> Iterator[EngineProcess]:
    """The sink that writes to the small disk."""
    names = (*NEEDED, "CLICKHOUSE_URL", "CLICKHOUSE_CDC_PASSWORD", "PATH")
    environment = {name: os.environ[name] for name in names}
    with engine_process(Path(sys.executable), "cdc.sinks.clickhouse", ROOT, environment) as running:
        yield running


def status() -> Status:
    """What `millrace cdc status` knows."""
    config = settings()
    with engine_state.connect(config.millrace_state_dsn) as state, closing(Kafka(config.kafka_bootstrap)) as kafka:
        return collect(config, state, kafka)


def parked() -> int:
    """How many changes were ever parked."""
    with engine_state.connect(settings().millrace_state_dsn) as state:
        return len(dead_letters.listed(state, everything=True))


def waits_for(sink: EngineProcess, what: str) -> bool:
    """Whether the sink and the status both give this reason."""
    return what in str(sink.facts().get("waits_for")) and any(what in line for line in wrong(status()))


@pytest.mark.long
def test_the_sink_waits_for_room_and_parks_nothing(
    disk: SmallDisk, source: ThrowAwaySource, sink: EngineProcess
) -> None:
    ways: tuple[tuple[str, Callable[[], None], str], ...] = (
        ("nearly full", lambda: disk.fill(200 * MB), "Could not perform insert"),
        ("full to the last byte", lambda: disk.fill(0), "Code: 243"),
        ("no inodes", disk.take_inodes, "No space left on device"),
    )
    for number, (way, fill, says) in enumerate(ways, 1):
        fill()
        run(source, f"INSERT INTO t SELECT n, 'v' FROM generate_series({number * 1000 + 1}, {number * 1000 + 500}) n")
        eventually(partial(waits_for, sink, says), f"{way}: the sink says so, and the status too")
        [wait] = status().waits
        assert wait.member.startswith("clickhouse-sink-")
        [lag] = status().sources[0].tables[0].lags
        assert (lag.target, lag.records) == ("clickhouse", 500)
        disk.make_room()
        eventually(lambda: sink.facts().get("waits_for") is None, f"{way}: the sink goes on")
        [proof] = verify_tables()
        assert (proof.rows_target, proof.equal, parked()) == (number * 500, True, 0), way
        assert status().waits == ()


def test_a_backlog_waits_in_kafka_and_not_in_memory(
    disk: SmallDisk, source: ThrowAwaySource, sink: EngineProcess
) -> None:
    """150 MB of changes while nothing can be written; other writers of the disk fill it to its end meanwhile."""
    disk.fill(0)
    before, peak = sink.memory, 0
    run(source, *(f"INSERT INTO t SELECT n, repeat(md5(n::text), 60) FROM generate_series({n}, {n + 4999}) n"
                  for n in range(0, 80_000, 5000)))  # fmt: skip

    def backlog() -> bool:
        nonlocal peak
        peak = max(peak, sink.memory)
        [lag] = status().sources[0].tables[0].lags
        return lag.records == 80_000

    eventually(backlog, "the backlog lies in Kafka")
    assert sink.facts()["ready"]
    disk.make_room()
    [proof] = verify_tables()
    peak = max(peak, sink.memory)
    assert (proof.rows_target, proof.equal, parked()) == (80_000, True, 0)
    print(f"memory of the sink: {before / MB:.0f} MB before, at most {peak / MB:.0f} MB with the backlog")
    assert peak < MOST_MEMORY


def test_an_insert_near_the_end_of_the_disk_is_refused_and_not_half_written(
    disk: SmallDisk, source: ThrowAwaySource, sink: EngineProcess
) -> None:
    """Many files for few bytes: what ClickHouse reserves is not what it takes, and it acknowledges parts without their data."""
    columns = ", ".join(f"c{n} int DEFAULT {n}" for n in range(300))
    run(source, f"CREATE TABLE wide (id int PRIMARY KEY, {columns})")
    source.apply()
    target = clickhouse.connect(disk.url, PASSWORD)
    target.command(f"ALTER TABLE raw_{source.name}.wide MODIFY SETTING min_bytes_for_wide_part = 0")
    disk.fill(2 * MB)
    run(source, "INSERT INTO wide SELECT n FROM generate_series(1, 10) n")
    eventually(lambda: bool(sink.facts().get("waits_for")), "the sink waits")
    disk.make_room()
    assert all(proof.equal for proof in verify_tables())
    assert target.query(f"SELECT count(), sum(c299) FROM raw_{source.name}.wide FINAL").result_rows == [(10, 2990)]
