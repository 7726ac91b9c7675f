"""Documents of two levels, a root and three children: the first load, beside the same bodies by raw `_bulk`; then children that
change in one transaction, until searches find the last of them.

The raw sender does what cannot be left out: the same requests, two at a time, into an index of the same mapping. It reads nothing
and versions nothing.
"""

import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from typing import Any, cast

import orjson
import psycopg
from elasticsearch import Elasticsearch, helpers

from bench.report import Metric, at_least, at_most
from bench.source import ThrowAwaySource, throw_away_source
from bench.steps import step
from cdc import documents, source_database
from cdc import state as engine_state
from cdc.documents import Tree, index
from cdc.documents.writer import LOTS_AT_ONCE, ROOTS_PER_LOT
from cdc.settings import settings

TABLES = """
CREATE TABLE orders (id bigint PRIMARY KEY, customer text NOT NULL, status text NOT NULL, total numeric(12, 2) NOT NULL,
    placed_at timestamptz NOT NULL, note text NOT NULL);
CREATE TABLE lines (id bigint PRIMARY KEY, order_id bigint NOT NULL REFERENCES orders, sku text NOT NULL, pieces int NOT NULL,
    mark text NOT NULL);
CREATE INDEX ON lines (order_id);
ALTER TABLE lines REPLICA IDENTITY FULL;
"""
DOCUMENTS = """
documents:
  - index: bench
    nodes:
      table: orders
      columns: [id, customer, status, total, placed_at, note]
      children: [{table: lines, columns: [sku, pieces, mark], relationship: {type: one_to_many}}]
    mapping:
      id: {type: long}
      customer: {type: keyword}
      status: {type: keyword}
      total: {type: double}
      placed_at: {type: date}
      note: {type: text}
      lines: {properties: {sku: {type: keyword}, pieces: {type: integer}, mark: {type: keyword}}}
"""
_CHILDREN = 3
_PGSYNC = 5000.0  # roots a second of its first load, one core, the same shape
_TIMES_PGSYNC = 2.5
_VISIBLE = 3.0  # seconds until the last changed child is found; PGSync took 11 to 13
_POLL = 0.02
_PATIENCE = 120.0


def measure(roots: int, changes: int) -> list[Metric]:
    """Load ``roots`` documents, then change ``changes`` children."""
    with (
        throw_away_source("bench", TABLES, DOCUMENTS) as source,
        index.connect(settings().elasticsearch_url) as client,
        psycopg.connect(source.dsn, autocommit=True) as database,
    ):
        step(f"write {roots:,} roots with {_CHILDREN} children each")
        _fill(database, roots)
        source.capture()
        step("first load")
        tree, load_seconds = _first_load(source)
        step("the same bodies by raw _bulk")
        raw_seconds = _raw(client, tree)
        step(f"change {changes:,} children in one transaction, until all are found")
        visible, touched = _changed(database, client, changes)
    return [
        at_least("first load", roots / load_seconds, "roots/s", roots / raw_seconds, 0.5),
        Metric(
            "first load beside PGSync's 5,000 roots/s",
            round(roots / load_seconds / _PGSYNC, 2),
            "times",
            bar=_TIMES_PGSYNC,
            met=roots / load_seconds >= _TIMES_PGSYNC * _PGSYNC,
        ),
        Metric("changed children", changes, "rows"),
        Metric("documents that they are in", touched, "documents"),
        at_most("commit to the last changed child found", visible, "s", _VISIBLE),
    ]


def _fill(database: psycopg.Connection[Any], roots: int) -> None:
    database.execute(
        "INSERT INTO orders SELECT n, 'customer ' || n %% 997, 'placed', n %% 5000 / 100.0, now(), 'a note of some length ' || n"
        " FROM generate_series(1, %s) n",
        [roots],
    )
    database.execute(
        "INSERT INTO lines SELECT n, (n - 1) / %s + 1, 'sku-' || n %% 9973, n %% 7, 'old' FROM generate_series(1, %s) n",
        [_CHILDREN, roots * _CHILDREN],
    )
    database.execute("ANALYZE orders, lines")


def _first_load(source: ThrowAwaySource) -> tuple[Tree, float]:
    """Write every document into an index that is made for it; the tree, and the seconds that it took."""
    config = settings()
    with engine_state.connect(config.millrace_state_dsn) as state, source_database.connect(source.file) as database:
        known = engine_state.find_source(state, source.name)
        assert known is not None
        [tree] = documents.load_trees(source.file, database)
    documents.remove([tree], config)
    documents.prepare([tree], config)
    began = time.perf_counter()
    documents.backfill(source.file, known, [tree], config)
    return tree, time.perf_counter() - began


def _raw(client: Elasticsearch, tree: Tree) -> float:
    """Seconds for the same bodies, prepared beforehand, in requests of the same size, as many at once."""
    name = "bench-raw"
    client.indices.create(
        index=name,
        mappings={"dynamic": "strict", "properties": tree.mapping},
        settings={"number_of_replicas": 0, "refresh_interval": index.REFRESH_INTERVAL},
    )
    try:
        lots = list(_lots(client, tree))
        began = time.perf_counter()
        with ThreadPoolExecutor(LOTS_AT_ONCE) as pool:
            answers = list(pool.map(lambda lot: client.bulk(index=name, operations=lot, filter_path="errors"), lots))
        took = time.perf_counter() - began
        assert not any(answer["errors"] for answer in answers)
        return took
    finally:
        client.indices.delete(index=name)


def _lots(client: Elasticsearch, tree: Tree) -> Iterator[Sequence[dict[str, Any]]]:
    found = helpers.scan(client, index=tree.index, size=5000)
    while lot := list(islice(found, ROOTS_PER_LOT)):
        lines = [
            line for hit in lot for line in (orjson.dumps({"index": {"_id": hit["_id"]}}), orjson.dumps(hit["_source"]))
        ]
        yield cast(Sequence[dict[str, Any]], lines)  # the client sends bytes as they are


def _changed(database: psycopg.Connection[Any], client: Elasticsearch, changes: int) -> tuple[float, int]:
    """Seconds from the commit until a search finds every document with a changed child; how many these are."""
    row = database.execute(
        "WITH c AS (UPDATE lines SET mark = 'new' WHERE id IN (SELECT id FROM lines ORDER BY hashint8(id) LIMIT %s)"
        " RETURNING order_id) SELECT count(DISTINCT order_id) FROM c",
        [changes],
    ).fetchone()
    began = time.perf_counter()
    assert row is not None
    while client.count(index="bench", query={"term": {"lines.mark": "new"}})["count"] < row[0]:
        if time.perf_counter() - began > _PATIENCE:
            raise TimeoutError(f"not all changed children are found after {_PATIENCE:g} s")
        time.sleep(_POLL)  # an index tells nobody what it has taken
    return time.perf_counter() - began, int(row[0])
