"""Several sinks in one group: they share the partitions, and one that dies leaves its share to the other."""

import os
import signal
import socket
import subprocess
import sys

import psycopg

from cdc.kafka import Kafka
from cdc.settings import settings
from cdc.sinks.positions import CLICKHOUSE_GROUP
from cdc.verify import verify_tables
from stack.settings import ROOT
from tests.integration.cdc.conftest import MakeSource, run
from tests.integration.cdc.waiting import eventually


def test_a_second_sink_takes_its_share_and_the_first_takes_it_back_when_it_is_killed(make_source: MakeSource) -> None:
    source = make_source("CREATE TABLE t (id int PRIMARY KEY, v text)")
    source.apply()
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    second = subprocess.Popen(
        [sys.executable, "-m", "cdc.sinks.clickhouse"], env=os.environ | {"HEALTH_PORT": str(port)}, cwd=ROOT
    )
    kafka = Kafka(settings().kafka_bootstrap)
    try:
        eventually(
            lambda: kafka.members(CLICKHOUSE_GROUP, f"{source.name}.public.t") == 2, "two members share the topic"
        )
        with psycopg.connect(source.dsn, autocommit=True) as connection:
            for start in range(0, 5000, 100):
                connection.execute(
                    "INSERT INTO t SELECT n, 'v' FROM generate_series(%s::int, %s::int) n", [start, start + 99]
                )
                if start == 2000:
                    second.send_signal(signal.SIGKILL)
            connection.execute("UPDATE t SET v = 'changed' WHERE id % 3 = 0")
            connection.execute("DELETE FROM t WHERE id % 7 = 0")
        [proof] = verify_tables([source.name])
        assert (proof.equal, proof.differing_keys) == (True, ())
        assert kafka.members(CLICKHOUSE_GROUP, f"{source.name}.public.t") == 1
    finally:
        kafka.close()
        second.kill()
        second.wait()
    run(source, "TRUNCATE t")
    assert verify_tables([source.name])[0].equal
