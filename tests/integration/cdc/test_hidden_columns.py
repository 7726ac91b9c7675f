"""What a source file hides stays hidden while tables change: under other names, beside columns that come and go."""

from dataclasses import replace

import psycopg
import pytest
from clickhouse_connect.driver.client import Client

from bench.source import ThrowAwaySource
from cdc import source_file
from cdc.errors import ConfigurationError
from tests.integration.cdc.conftest import MakeSource, run
from tests.integration.cdc.test_columns import values
from tests.integration.cdc.test_faults import proof
from tests.integration.cdc.test_masks import hashed
from tests.integration.cdc.test_shapes import captured, followed
from tests.integration.cdc.topics import messages
from tests.integration.cdc.waiting import eventually

MASKED = "columns: {public.t: {mask: {email: hash}}}"


def declared(source: ThrowAwaySource, columns: str) -> ThrowAwaySource:
    """The source with another part ``columns:`` in its file."""
    source.path.write_text(source.path.read_text().replace(MASKED, f"columns: {{{columns}}}"))
    return replace(source, file=source_file.load(source.path))


def parked(source: ThrowAwaySource, reason: str) -> bool:
    """Whether t is parked for that reason."""
    return reason in (captured(source)["t"].parked or "")


def test_a_masked_column_whose_name_another_takes_stays_hidden_until_the_file_names_it_anew(
    make_source: MakeSource, target: Client
) -> None:
    source = make_source("CREATE TABLE t (id int PRIMARY KEY, email text, n int)", rest=MASKED)
    run(source, "INSERT INTO t VALUES (1, 'ann@needle', 1)")
    source.apply()
    run(
        source,
        "ALTER TABLE t RENAME email TO mail; ALTER TABLE t ADD COLUMN email text",
        "INSERT INTO t VALUES (2, 'bob@needle', 2, NULL)",
    )
    reason = "public.t.email is held masked by hash and is called public.t.mail now"
    eventually(lambda: parked(source, reason), "t is parked")
    with pytest.raises(ConfigurationError, match=reason):
        source.apply()
    declared(source, "public.t: {mask: {email: hash, mail: hash}}").apply()
    eventually(lambda: followed(source, "mail"), "t is taken up again")
    assert proof(source.name).equal
    assert values(target, source, "mail") == [hashed("ann@needle"), hashed("bob@needle")]
    assert not any(b"needle" in (message.value() or b"") for message in messages(f"{source.name}.public.t"))


def test_a_table_that_hides_columns_is_not_shown_under_another_name(make_source: MakeSource, target: Client) -> None:
    """Not even when another table has taken its own."""
    source = make_source("CREATE TABLE t (id int PRIMARY KEY, email text)", rest=MASKED)
    run(source, "INSERT INTO t VALUES (1, 'ann@needle')")
    source.apply()
    run(source, "ALTER TABLE t RENAME TO u; CREATE TABLE t (id int PRIMARY KEY, email text)")
    reason = "public.t.email is held masked by hash and is called public.u.email now"
    eventually(lambda: parked(source, reason), "t is parked")
    with pytest.raises(ConfigurationError, match=reason):
        source.apply()
    assert "u" not in captured(source)
    run(source, "INSERT INTO u VALUES (2, 'late@needle')")
    declared(source, "public.t: {mask: {email: hash}}, public.u: {mask: {email: hash}}").apply()
    run(source, "INSERT INTO t VALUES (1, 'other@needle')")
    eventually(lambda: followed(source) and followed(source, table="u"), "both are followed")
    assert proof(source.name).equal
    assert proof(source.name, "u").equal
    assert values(target, source, "email") == [hashed("other@needle")]
    found = target.query(f"SELECT email FROM raw_{source.name}.u FINAL ORDER BY id").result_rows
    assert found == [(hashed("ann@needle"),), (hashed("late@needle"),)]
    for table in ("t", "u"):
        assert not any(b"needle" in (message.value() or b"") for message in messages(f"{source.name}.public.{table}"))


def test_columns_that_come_and_go_beside_an_excluded_one_are_followed(make_source: MakeSource, target: Client) -> None:
    """With a transaction that wrote before the publication named the new column, and ends after."""
    source = make_source(
        "CREATE TABLE t (id int PRIMARY KEY, secret text, v int, w int)",
        rest="columns: {public.t: {exclude: [secret]}}",
    )
    run(source, "INSERT INTO t VALUES (1, 'hush', 1, 1)")
    source.apply()
    with psycopg.connect(source.dsn) as writer:
        writer.execute("ALTER TABLE t ADD COLUMN added int")
        writer.commit()
        writer.execute("INSERT INTO t VALUES (2, 'hush', 2, 2, 2)")
        eventually(lambda: "added" in published(source), "the publication names the new column")
        writer.commit()
    eventually(lambda: followed(source, "added"), "the new column is followed")
    assert proof(source.name).equal
    run(source, "ALTER TABLE t DROP COLUMN w CASCADE", "INSERT INTO t VALUES (3, 'hush', 3, 3)")
    eventually(lambda: followed_without(source, "w"), "the column's end is followed")
    run(source, "INSERT INTO t VALUES (4, 'hush', 4, 4)")
    assert proof(source.name).equal
    found = target.query(f"SELECT added FROM raw_{source.name}.t FINAL ORDER BY id").result_rows
    assert found == [(None,), (2,), (3,), (4,)]
    assert published(source) == {"id", "v", "added"}
    assert not any(b"hush" in (message.value() or b"") for message in messages(f"{source.name}.public.t"))


def followed_without(source: ThrowAwaySource, column: str) -> bool:
    """Whether t is followed and its copy has no such column any more."""
    table = captured(source)["t"]
    return table.parked is None and column not in {each.name for each in table.shape.columns}


def published(source: ThrowAwaySource) -> set[str]:
    """The columns of t that the publication names."""
    with psycopg.connect(source.dsn) as connection:
        rows = connection.execute("SELECT unnest(attnames)::text FROM pg_publication_tables WHERE tablename = 't'")
        return {name for (name,) in rows}
