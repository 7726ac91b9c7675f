"""What makes a reading safe to write, and what proves that all were: visibility, versions, proof."""

from threading import Event
from uuid import uuid4

import psycopg
import pytest

from cdc import documents
from cdc.documents import bulk
from cdc.documents.reading import Reader, Reading
from cdc.documents.verify import compare
from cdc.errors import PermanentError, TransientError
from tests.integration.documents.shop import Shop


@pytest.fixture(autouse=True)
def prepared(shop: Shop) -> None:
    documents.prepare(shop.trees, shop.config)


def test_a_transaction_is_waited_for_until_it_is_visible(shop: Shop) -> None:
    reader = shop.reader()
    with psycopg.connect(shop.file.conninfo) as writer:
        row = writer.execute("SELECT pg_current_xact_id()::text::int8 & 4294967295").fetchone()
        assert row is not None
        with pytest.raises(TransientError, match="not visible after 0 s"):
            reader.wait_until_visible([row[0]], timeout=0.2)
        writer.commit()
        reader.wait_until_visible([row[0]], timeout=5)
    reader.close()


def test_no_two_readings_share_a_version(shop: Shop) -> None:
    ware, reader = shop.add(60), shop.reader()
    versions = [reader.read(shop.tree, [(ware,)]).version for _ in range(3)]
    assert versions == sorted(set(versions))
    assert all(version >> 56 == shop.known.epoch and version < 1 << 63 for version in versions)
    reader.close()


def test_an_older_reading_never_replaces_a_newer_one(shop: Shop) -> None:
    ware, reader = shop.add(61, name="old"), shop.reader()
    old = reader.read(shop.tree, [(ware,)])
    shop.execute("UPDATE wares SET name = 'new' WHERE id = %s", ware)
    assert bulk.write(shop.client, shop.tree.index, reader.read(shop.tree, [(ware,)])).indexed == 1
    assert bulk.write(shop.client, shop.tree.index, old).superseded == 1
    document = shop.document(ware)
    assert document is not None and document["name"] == "new"
    reader.close()


def test_an_older_reading_never_revives_a_deleted_document(shop: Shop) -> None:
    ware, reader = shop.add(62), shop.reader()
    old = reader.read(shop.tree, [(ware,)])
    shop.execute("DELETE FROM wares WHERE id = %s", ware)
    assert bulk.write(shop.client, shop.tree.index, reader.read(shop.tree, [(ware,)])).deleted == 1
    assert bulk.write(shop.client, shop.tree.index, old).superseded == 1
    assert shop.document(ware) is None
    settings = shop.client.indices.get_settings(index=shop.tree.index, name="index.gc_deletes")
    [found] = settings.values()
    assert found["settings"]["index"]["gc_deletes"] == f"{shop.config.cdc_topic_retention_hours}h"
    reader.close()


def test_the_proof_names_missing_different_and_superfluous_documents(shop: Shop) -> None:
    documents.backfill(shop.file, shop.known, shop.trees, shop.config)
    missing, different, whole = shop.add(63), shop.add(63), shop.add(63)
    superfluous = str(uuid4())
    reader = shop.reader()
    read = reader.read(shop.tree, [(ware,) for ware in (missing, different, whole)])
    bodies = dict(read.bodies)
    wrong = (bodies[different] or "").replace("1000", "1001")
    spoilt = [(different, wrong), (whole, bodies[whole]), (superfluous, bodies[whole])]
    bulk.write(shop.client, shop.tree.index, Reading(read.version, spoilt))
    proof = compare(reader, shop.client, shop.tree, lambda lsn: None).proof(shop.tree)
    assert not proof.equal
    assert set(proof.keys) == {missing, different, superfluous}
    documents.backfill(shop.file, shop.known, shop.trees, shop.config)
    assert compare(reader, shop.client, shop.tree, lambda lsn: None).proof(shop.tree).equal
    reader.close()


def test_a_difference_that_the_sink_mends_in_time_does_not_count(shop: Shop) -> None:
    documents.backfill(shop.file, shop.known, shop.trees, shop.config)
    shop.add(64)
    asked = Event()

    def mend(_: int) -> None:
        asked.set()
        documents.backfill(shop.file, shop.known, shop.trees, shop.config)

    reader = shop.reader()
    assert compare(reader, shop.client, shop.tree, mend).proof(shop.tree).equal
    assert asked.is_set()
    reader.close()


def test_another_server_behind_the_same_address_is_refused(shop: Shop) -> None:
    moved = type(shop.known)(shop.known.source, shop.known.system_identifier, shop.known.timeline + 1, shop.known.epoch)
    reader = Reader(shop.file, moved)
    with pytest.raises(PermanentError, match="another database than the one applied"):
        reader.position()


def test_a_source_that_is_away_is_a_passing_trouble(shop: Shop) -> None:
    reader = shop.reader()
    reader.position()
    shop.database.execute(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database()"
        " AND pid <> pg_backend_pid() AND application_name = 'millrace'"
    )
    with pytest.raises(TransientError, match="cannot be read"):
        reader.read(shop.tree, [(str(uuid4()),)])
    assert reader.read(shop.tree, [(str(uuid4()),)]).bodies[0][1] is None
    reader.close()
