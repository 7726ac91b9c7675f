"""Where raw tables lie when ClickHouse is a cluster: spread over its shards by key, behind one table that readers see.

`CLICKHOUSE_CLUSTER` names a cluster of the servers' configuration, and `CLICKHOUSE_NODES` lists the HTTP address of every server of it.
A raw table ``raw_x.t`` is then a Distributed table, on every node, over ``raw_x__shard.t``, which holds the rows: each row in the shard
that the hash of its key says, so that all versions of a key meet in one shard, `FINAL` and merges included. Inserts go through the
Distributed table and end when every shard has what is its own; one that ended halfway is sent again, and versions make that harmless.

DDL is sent to each node by ourselves, so that a cluster without ZooKeeper or Keeper will do (`ON CLUSTER` needs one). The node of
`CLICKHOUSE_URL` comes last: what we look up there is there everywhere. A statement that was interrupted between two nodes is safe to
repeat. Two nodes do not alter a table at the same moment: see docs/cdc.md, "Clusters", for what readers may see in between.

Without a cluster every function here sends the statement as it is.
"""

import re
import uuid
from dataclasses import dataclass
from functools import lru_cache

from clickhouse_connect.driver.client import Client

from cdc import clickhouse
from cdc.errors import ConfigurationError
from cdc.settings import settings

SUFFIX = "__shard"
"""Behind the name of a database: the one that holds the rows of its tables, on every node."""

_NAME = re.compile(r"(`?)(\w+)\1\.(`(?:[^`\\]|\\.)+`|\w+)")
_ENGINE = re.compile(r"ENGINE = ReplacingMergeTree(?:\(([^)]*)\))?")
_OURS = re.compile(r"/millrace/([0-9a-f]{32})/")


@dataclass(frozen=True)
class Cluster:
    """A cluster by its name, with a client of each of its servers, the one of `CLICKHOUSE_URL` last."""

    name: str
    nodes: tuple[Client, ...]
    replicated: bool


def configured() -> Cluster | None:
    """The cluster of this process's settings; None where ClickHouse is one server.

    Raises:
        ConfigurationError: the settings are not those of the cluster that the servers know.
    """
    config = settings()
    if not config.clickhouse_cluster:
        return None
    return _cluster(
        config.clickhouse_cluster,
        config.clickhouse_nodes,
        config.clickhouse_url,
        config.clickhouse_cdc_password,
        config.clickhouse_replicated,
    )


@lru_cache(maxsize=1)
def _cluster(name: str, addresses: str, last: str, password: str, replicated: bool) -> Cluster:
    listed = [address.strip().rstrip("/") for address in addresses.split(",") if address.strip()]
    if last.rstrip("/") not in listed:
        raise ConfigurationError(
            f"CLICKHOUSE_NODES has to list every server of {name}, that of CLICKHOUSE_URL ({last}) too"
        )
    listed.sort(key=lambda each: each == last.rstrip("/"))
    clients = tuple(clickhouse.connect(each, password) for each in listed)
    for address, client in zip(listed, clients, strict=True):
        [[known]] = client.query(
            "SELECT count() FROM system.clusters WHERE cluster = {name:String}", {"name": name}
        ).result_rows
        if known != len(listed):
            what = f"a cluster {name} of {known} servers" if known else f"no cluster {name}"
            raise ConfigurationError(
                f"ClickHouse at {address} has {what} in its configuration (remote_servers), CLICKHOUSE_NODES lists {len(listed)}"
            )
    return Cluster(name, clients, replicated)


def nodes(target: Client) -> tuple[Client, ...]:
    """The servers that hold rows: those of the cluster, or ``target`` alone."""
    cluster = configured()
    return cluster.nodes if cluster else (target,)


def held_in(database: str) -> str:
    """The database that holds the rows, the columns' comments and the sorting keys of another's tables."""
    return database + SUFFIX if configured() else database


def make_database(target: Client, name: str) -> None:
    """Make a database of raw tables; nothing where it is there."""
    for node in nodes(target):
        for each in dict.fromkeys((name, held_in(name))):
            node.command(f"CREATE DATABASE IF NOT EXISTS {clickhouse.quote(each)}")


def drop_database(target: Client, name: str) -> None:
    """Drop a database of raw tables with all of them."""
    for node in nodes(target):
        for each in dict.fromkeys((name, held_in(name))):
            node.command(f"DROP DATABASE IF EXISTS {clickhouse.quote(each)}")


def define(target: Client, statement: str, *tables: str, gone: tuple[str, ...] = ()) -> None:
    """Execute DDL that makes or alters tables.

    Args:
        target: the server, where it is one.
        statement: names each table as it is named here; safe to repeat.
        tables: quoted ``database.table`` of those that are there afterwards.
        gone: of those that are not.
    """
    cluster = configured()
    if cluster is None:
        target.command(statement)
        return
    local = _in_shards(statement, *tables, *gone)
    if cluster.replicated and tables:
        local = _replicated(local, cluster, tables[0])
    for node in cluster.nodes:
        node.command(local)
    for node in cluster.nodes:
        for table in tables:
            node.command(_distributed(cluster, node, table))
        for table in gone:
            node.command(f"DROP TABLE IF EXISTS {table} SYNC")


def change(target: Client, statement: str, *tables: str) -> None:
    """Execute a statement about the rows or the storage of tables, which leaves their columns as they are, where the rows are."""
    local = _in_shards(statement, *tables) if configured() else statement
    for node in nodes(target):
        node.command(local)


def drop(target: Client, *tables: str) -> None:
    """Drop tables; nothing where they are gone. Their files go at once."""
    for table in tables:
        define(target, f"DROP TABLE IF EXISTS {table} SYNC", gone=(table,))


def in_shard(table: str) -> str:
    """Quoted ``database.table`` of what holds a table's rows on a node of the cluster."""
    found = _NAME.fullmatch(table)
    if found is None:
        raise ValueError(f"not a quoted database.table: {table}")
    return f"{found[1]}{found[2]}{SUFFIX}{found[1]}.{found[3]}"


def _in_shards(statement: str, *tables: str) -> str:
    for table in tables:
        if table not in statement:
            raise ValueError(f"{table} is not in the statement: {statement[:200]}")
        statement = statement.replace(table, in_shard(table))
    return statement


def _distributed(cluster: Cluster, node: Client, table: str) -> str:
    """DDL of the table that readers see, with the columns and comments of what holds the rows."""
    database, name = _unquoted(in_shard(table))
    [[key]] = node.query(
        "SELECT sorting_key FROM system.tables WHERE database = {database:String} AND name = {name:String}",
        {"database": database, "name": name},
    ).result_rows
    row = str(key).removesuffix(", _version")  # a log keeps the versions of a row in one shard
    where = ", ".join(
        "'" + each.replace("\\", "\\\\").replace("'", "\\'") + "'" for each in (cluster.name, database, name)
    )
    return f"CREATE OR REPLACE TABLE {table} AS {in_shard(table)} ENGINE = Distributed({where}, cityHash64({row}))"


def _replicated(statement: str, cluster: Cluster, table: str) -> str:
    """A CREATE with the replicated engine. A table's path is its own for ever, as tables change their names; where a node has the
    table already, the others take its path."""
    if not (found := _ENGINE.search(statement)):
        return statement
    place = f"'/clickhouse/millrace/{_own_path(cluster, table)}/{{shard}}', '{{replica}}'"
    arguments = ", ".join(filter(None, (place, found[1])))
    with_engine = statement.replace(found[0], f"ENGINE = ReplicatedReplacingMergeTree({arguments})")
    return with_engine.replace("non_replicated_deduplication_window", "replicated_deduplication_window")


def _own_path(cluster: Cluster, table: str) -> str:
    database, name = _unquoted(in_shard(table))
    for node in cluster.nodes:
        rows = node.query(
            "SELECT engine_full FROM system.tables WHERE database = {database:String} AND name = {name:String}",
            {"database": database, "name": name},
        ).result_rows
        if found := _OURS.search(str(rows[0][0])) if rows else None:
            return found[1]
    return uuid.uuid4().hex


def _unquoted(table: str) -> tuple[str, str]:
    found = _NAME.fullmatch(table)
    assert found is not None
    name = re.sub(r"\\(.)", r"\1", found[3][1:-1]) if found[3].startswith("`") else found[3]
    return found[2], name
