"""The DDL of tables that are replicated within the shards of a cluster; no server here has what replication needs."""

import re

import pytest

from cdc.sinks.clickhouse import cluster
from cdc.sinks.clickhouse.cluster import Cluster, in_shard

REPLICATED = Cluster("c", (), replicated=True)


def test_a_replicated_table_has_a_path_that_no_other_has() -> None:
    statement = (
        "CREATE TABLE IF NOT EXISTS raw_x.`t` (id Int32)\nENGINE = ReplacingMergeTree(_version, _deleted) ORDER BY (`id`)\n"
        "SETTINGS non_replicated_deduplication_window = 1000"
    )
    one, other = (cluster._replicated(statement, REPLICATED, "raw_x.`t`") for _ in range(2))
    assert one != other
    engine = r"ReplicatedReplacingMergeTree\('/clickhouse/millrace/[0-9a-f]{32}/\{shard\}', '\{replica\}', _version, _deleted\)"
    assert re.search(f"\nENGINE = {engine} ORDER BY", one)
    assert one.endswith("SETTINGS replicated_deduplication_window = 1000")


def test_an_engine_without_arguments_gets_those_of_replication_alone() -> None:
    made = cluster._replicated(
        "CREATE TABLE a.b (id Int32) ENGINE = ReplacingMergeTree ORDER BY (id)", REPLICATED, "a.b"
    )
    assert re.search(r"ENGINE = ReplicatedReplacingMergeTree\('[^']+', '\{replica\}'\) ORDER BY \(id\)$", made)


def test_other_statements_stay_as_they_are() -> None:
    assert cluster._replicated("ALTER TABLE a.b DROP COLUMN c", REPLICATED, "a.b") == "ALTER TABLE a.b DROP COLUMN c"


@pytest.mark.parametrize(
    ("table", "held"),
    [
        ("`raw_x`.`t`", "`raw_x__shard`.`t`"),
        ("raw_millrace.`x.public.Größe anew`", "raw_millrace__shard.`x.public.Größe anew`"),
        (r"`raw_x`.`a\`b.c`", r"`raw_x__shard`.`a\`b.c`"),
    ],
)
def test_what_holds_the_rows_has_the_same_name_in_another_database(table: str, held: str) -> None:
    assert in_shard(table) == held


def test_a_name_without_a_database_is_refused() -> None:
    with pytest.raises(ValueError, match=r"not a quoted database\.table"):
        in_shard("t; DROP TABLE x")
