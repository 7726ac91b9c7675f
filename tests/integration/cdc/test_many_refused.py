"""Many refused rows among very many: all others are written, each refused one is parked, and a replay brings them."""

import subprocess
import sys
import time

import pytest
from clickhouse_connect.driver.client import Client

from bench import topics
from bench.sink_process import SinkProcess
from cdc import dead_letters
from cdc import state as engine_state
from cdc.settings import settings
from cdc.verify import TableProof, verify_tables
from stack.settings import ROOT
from tests.integration.cdc.conftest import MakeSource, run

ROWS, EVERY, TRANSACTIONS = 1_000_000, 100, 10
REFUSED = ROWS // EVERY
PATIENCE = 900.0


def replay(name: str) -> tuple[int, str]:
    """Exit status and last line of `millrace cdc deadletters replay`."""
    command = [
        sys.executable,
        "-m",
        "stack.commands.main",
        "cdc",
        "deadletters",
        "replay",
        "--table",
        f"{name}.public.t",
    ]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    return done.returncode, done.stdout.strip()


def proof(name: str) -> TableProof:
    """The verification of the table."""
    [found] = verify_tables([name])
    return found


@pytest.mark.long
@pytest.mark.timeout(1800)
def test_ten_thousand_refused_rows_within_a_million(make_source: MakeSource, target: Client) -> None:
    source = make_source("CREATE TABLE t (id int PRIMARY KEY, n int NOT NULL, v text)")
    source.apply()
    target.command(f"ALTER TABLE raw_{source.name}.t ADD CONSTRAINT small CHECK n < 1000000")
    topic, size, sink = f"{source.name}.public.t", ROWS // TRANSACTIONS, SinkProcess()
    began = time.monotonic()
    with sink.watched():
        run(
            source,
            *(
                f"INSERT INTO t SELECT i, CASE WHEN i % {EVERY} = 0 THEN 2000000 ELSE 1 END, md5(i::text) "
                f"FROM generate_series({start + 1}, {start + size}) i"
                for start in range(0, ROWS, size)
            ),
        )
        topics.wait_for_size(topic, ROWS, PATIENCE)
        in_kafka = time.monotonic() - began
        topics.wait_until_read(topic, PATIENCE)
    streamed = time.monotonic() - began
    found = proof(source.name)
    assert (found.rows_target, found.differing, found.parked, found.equal) == (ROWS - REFUSED, 0, REFUSED, False)
    target.command(f"ALTER TABLE raw_{source.name}.t DROP CONSTRAINT small")
    began = time.monotonic()
    assert replay(source.name) == (0, f"{REFUSED} replayed, 0 left")
    replayed = time.monotonic() - began
    found = proof(source.name)
    assert (found.rows_target, found.parked, found.equal) == (ROWS, 0, True)
    with engine_state.connect(settings().millrace_state_dsn) as state:
        assert dead_letters.listed(state, table=f"{source.name}.public.t") == []
    print(
        f"in Kafka after {in_kafka:.0f} s, written or parked after {streamed:.0f} s, "
        f"replayed in {replayed:.0f} s; memory of the sink at most {sink.peak / 2**20:.0f} MB"
    )
    assert sink.peak < 512 << 20
