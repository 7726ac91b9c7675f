"""Raw tables that are spread over two shards are copies like any other: streamed, copied, proven, mended, reshaped, erased."""

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import psycopg
import pytest
from clickhouse_connect.driver.client import Client
from typer.testing import CliRunner

from bench.source import ThrowAwaySource, throw_away_source
from cdc.commands import app
from cdc.errors import ConfigurationError
from cdc.repair import repair_tables
from cdc.settings import settings
from cdc.sinks.clickhouse import cluster
from cdc.verify import verify_tables
from stack.settings import PORT_SPAN, ROOT
from tests.conftest import Stack
from tests.integration.cdc.conftest import copy_again, run
from tests.integration.cdc.engine_processes import engine_process
from tests.integration.cdc.shards import CLUSTER, Shard, two_shards
from tests.integration.cdc.test_erase import erased
from tests.integration.cdc.test_full_disk import NEEDED
from tests.integration.cdc.test_shapes import followed
from tests.integration.cdc.waiting import eventually
from tests.own_clickhouse_server import PASSWORD

TABLE = "CREATE TABLE t (id int, part text, v text, n numeric(10, 2), PRIMARY KEY (part, id))"
Capture = Callable[..., ThrowAwaySource]


@pytest.fixture(scope="module")
def shards(stack: Stack, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Shard, Shard]]:
    """The two servers."""
    with two_shards(tmp_path_factory.mktemp("shards"), stack.settings.port_base + 2 * PORT_SPAN) as both:
        yield both


@pytest.fixture
def spread(shards: tuple[Shard, Shard], own_state: None) -> Iterator[tuple[Shard, Shard]]:
    """The engine's ClickHouse in this test: the cluster, by its first server."""
    with pytest.MonkeyPatch.context() as own:
        own.setenv("CLICKHOUSE_URL", shards[0].url)
        own.setenv("CLICKHOUSE_CDC_PASSWORD", PASSWORD)
        own.setenv("CLICKHOUSE_CLUSTER", CLUSTER)
        own.setenv("CLICKHOUSE_NODES", f"{shards[0].url}, {shards[1].url}/")
        settings.cache_clear()
        yield shards
    settings.cache_clear()


@pytest.fixture
def capture(spread: tuple[Shard, Shard]) -> Iterator[Capture]:
    """Captures a database; a sink and a keeper of the test's own follow it. Nothing of it is left on a server afterwards."""
    with ExitStack() as ends:

        def captured(name: str, tables: str, *rows: str, rest: str = "") -> ThrowAwaySource:
            source = ends.enter_context(throw_away_source(name, tables, rest=rest))
            run(source, *rows)
            source.apply()
            names = (
                *NEEDED,
                "CLICKHOUSE_URL",
                "CLICKHOUSE_CDC_PASSWORD",
                "CLICKHOUSE_CLUSTER",
                "CLICKHOUSE_NODES",
                "PATH",
            )
            environment = {name: os.environ[name] for name in names}
            for module in ("cdc.sinks.clickhouse", "cdc.keeper"):
                ends.enter_context(engine_process(Path(sys.executable), module, ROOT, environment))
            return source

        yield captured
    for shard in spread:
        left = (
            "SELECT name FROM system.databases WHERE startsWith(name, 'raw_') AND NOT startsWith(name, 'raw_millrace')"
        )
        assert shard.client.query(left).result_rows == []
        copies = "SELECT name FROM system.tables WHERE startsWith(database, 'raw_millrace') AND engine = 'Distributed'"
        assert shard.client.query(copies).result_rows == []


def count(client: Client, table: str) -> int:
    """The live rows of a table."""
    return int(client.query(f"SELECT count() FROM {table} FINAL").result_rows[0][0])


def equal() -> bool:
    """Whether every captured table is proven equal."""
    return all(found.equal for found in verify_tables())


def start_again(shard: Shard, both: tuple[Shard, Shard]) -> None:
    """Start a killed shard, and wait for the other too, which may have ended by the kill (docs/limits.md)."""
    shard.start()
    eventually(lambda: all(each.is_well() for each in both), "both shards are well")


def test_rows_lie_in_the_shard_of_their_key_and_every_server_sees_all(
    capture: Capture, spread: tuple[Shard, Shard]
) -> None:
    source = capture("spread", TABLE, "INSERT INTO t SELECT n, 'p' || n % 3, 'v', n FROM generate_series(1, 3000) n")
    assert equal()
    run(
        source,
        "INSERT INTO t SELECT n, 'q', 'streamed', n FROM generate_series(1, 1000) n",
        "UPDATE t SET v = 'w' WHERE id % 2 = 0",
        "DELETE FROM t WHERE id % 5 = 0",
        "UPDATE t SET id = id + 100000 WHERE id = 7",
    )
    assert equal()
    assert [count(shard.client, "raw_spread.t") for shard in spread] == [3200, 3200]
    held = [count(shard.client, "raw_spread__shard.t") for shard in spread]
    assert sum(held) == 3200 and min(held) > 1000
    twice = "SELECT count() FROM (SELECT part, id FROM raw_spread.t GROUP BY part, id HAVING uniqExact(_shard_num) > 1)"
    assert spread[0].client.query(twice).result_rows == [(0,)]


def test_a_wrong_row_of_one_shard_is_found_and_mended(capture: Capture, spread: tuple[Shard, Shard]) -> None:
    capture("mended", TABLE, "INSERT INTO t SELECT n, 'p', 'v', n FROM generate_series(1, 1000) n")
    local = "raw_mended__shard.t"
    for shard in spread:
        shard.client.command(
            f"INSERT INTO {local} SELECT * REPLACE ('wrong' AS v, _version + 1 AS _version) FROM {local} LIMIT 3"
        )
    assert sum(found.differing for found in verify_tables()) == 6
    [mended] = repair_tables()
    assert (mended.proof.equal, mended.copied, mended.resynced) == (True, 6, False)


def test_a_shard_that_is_killed_under_writers_lacks_nothing_when_it_is_back(
    capture: Capture, spread: tuple[Shard, Shard]
) -> None:
    source = capture("killed", TABLE)
    for number, shard in enumerate(reversed(spread)):
        run(source, f"INSERT INTO t SELECT n, 'before {number}', 'v', n FROM generate_series(1, 2000) n")
        shard.kill()
        run(source, f"INSERT INTO t SELECT n, 'after {number}', 'v', n FROM generate_series(1, 2000) n")
        start_again(shard, spread)
    [found] = verify_tables()
    assert (found.rows_source, found.equal, found.parked) == (8000, True, 0)


def test_a_proof_while_a_server_of_the_cluster_is_away_ends_in_one_line(
    capture: Capture, spread: tuple[Shard, Shard]
) -> None:
    capture("away", TABLE, "INSERT INTO t SELECT n, 'p', 'v', n FROM generate_series(1, 100) n")
    assert equal()
    spread[1].kill()
    proof = CliRunner().invoke(app, ["verify", "away.t"])
    start_again(spread[1], spread)
    assert proof.exit_code == 2
    [line] = proof.stderr.splitlines()
    assert line.startswith("millrace cdc: ClickHouse went away or refuses: ") and "All connection tries failed" in line
    assert equal()


def test_columns_and_tables_that_change_are_followed_on_every_server(
    capture: Capture, spread: tuple[Shard, Shard]
) -> None:
    source = capture("shaped", TABLE, "INSERT INTO t SELECT n, 'p', 'v', n FROM generate_series(1, 500) n")
    run(source, "ALTER TABLE t ADD COLUMN late int DEFAULT 5", "UPDATE t SET late = 6 WHERE id = 1")
    eventually(lambda: types(spread[1], "shaped").get("late") == "Nullable(Int32)", "the column is there")
    run(source, "ALTER TABLE t ALTER COLUMN v TYPE int USING 3", "INSERT INTO t VALUES (501, 'p', 4, 1, 7)")
    eventually(lambda: types(spread[1], "shaped").get("v") == "Nullable(Int32)", "the copy is made anew")
    eventually(lambda: followed(source, "late"), "the table is followed again")
    assert equal()
    for shard in spread:
        assert shard.client.query("SELECT v, count(), sum(late) FROM raw_shaped.t FINAL GROUP BY v ORDER BY v").result_rows == [
            (3, 500, 2501), (4, 1, 7),
        ]  # fmt: skip
    run(source, "ALTER TABLE t RENAME TO u")
    eventually(lambda: comment(spread[1], "t") != "", "the copy of t is let go")
    eventually(lambda: followed(source, table="u"), "u takes its place, with its rows")
    assert types(spread[1], "shaped", "u") == types(spread[1], "shaped")
    assert "is called public.u now" in comment(spread[1], "t")
    assert equal()


def test_a_log_and_a_table_without_a_key_are_spread_as_well(capture: Capture, spread: tuple[Shard, Shard]) -> None:
    source = capture(
        "logged",
        f"{TABLE}; CREATE TABLE notes (body text)",
        "INSERT INTO t SELECT n, 'p', 'v', n FROM generate_series(1, 300) n",
        "INSERT INTO notes SELECT 'n' || n % 50 FROM generate_series(1, 400) n",
        rest="history: [public.t]\ncolumns: {public.notes: {append_only: true}}",
    )
    run(source, "UPDATE t SET v = 'w' WHERE id <= 100", "INSERT INTO notes VALUES ('streamed'), ('streamed')")
    assert equal()
    versions = "SELECT count(), uniqExact(part, id) FROM raw_logged.t__history FINAL"
    assert spread[1].client.query(versions).result_rows == [(400, 300)]
    copy_again(source)
    assert equal()
    assert spread[1].client.query(versions).result_rows == [(400, 300)]
    assert count(spread[1].client, "raw_logged.notes") == 402
    assert all(count(shard.client, "raw_logged__shard.notes") > 50 for shard in spread)
    run(source, "TRUNCATE notes", "INSERT INTO notes VALUES ('after')")
    assert equal()
    assert count(spread[1].client, "raw_logged.notes") == 1


def test_an_erased_key_is_gone_from_every_server(capture: Capture, spread: tuple[Shard, Shard]) -> None:
    source = capture(
        "erasing",
        "CREATE TABLE t (id int PRIMARY KEY, email text)",
        "INSERT INTO t SELECT n, 'private ' || n FROM generate_series(1, 20) n",
        rest="history: [public.t]",
    )
    with psycopg.connect(source.dsn, autocommit=True) as connection:
        connection.execute("DELETE FROM t")
    assert equal()
    for key in range(1, 21):
        erased(source, cluster.nodes(spread[0].client)[-1], str(key))
    for shard in spread:
        for table in ("raw_erasing__shard.t", "raw_erasing__shard.t__history"):
            assert shard.client.query(f"SELECT email FROM {table} WHERE email LIKE 'private%'").result_rows == []


@pytest.mark.parametrize(
    ("name", "nodes", "words"),
    [
        ("nowhere", "{0},{1}", "has no cluster nowhere in its configuration"),
        (CLUSTER, "{0}", "has a cluster two_shards of 2 servers in its configuration"),
        (CLUSTER, "{1}", "has to list every server of two_shards, that of CLICKHOUSE_URL"),
    ],
)
def test_a_cluster_that_is_not_as_the_settings_say_is_refused(
    spread: tuple[Shard, Shard], name: str, nodes: str, words: str
) -> None:
    with pytest.MonkeyPatch.context() as own:
        own.setenv("CLICKHOUSE_CLUSTER", name)
        own.setenv("CLICKHOUSE_NODES", nodes.format(*(shard.url for shard in spread)))
        settings.cache_clear()
        with pytest.raises(ConfigurationError, match=words):
            cluster.configured()
    settings.cache_clear()


def types(shard: Shard, source: str, table: str = "t") -> dict[str, str]:
    """The columns of the table that readers see, with their types."""
    query = f"SELECT name, type FROM system.columns WHERE database = 'raw_{source}' AND table = '{table}'"
    return {str(name): str(kind) for name, kind in shard.client.query(query).result_rows}


def comment(shard: Shard, table: str) -> str:
    """The comment of a table that readers see."""
    query = f"SELECT comment FROM system.tables WHERE database = 'raw_shaped' AND name = '{table}'"
    return str(shard.client.query(query).result_rows[0][0])
