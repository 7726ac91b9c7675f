"""The document sink on real servers: every kind of change reaches its documents, nothing vanishes, nothing returns."""

from collections.abc import Iterable
from uuid import uuid4

import pytest

from cdc import documents, waits
from cdc import state as engine_state
from cdc.documents import index
from cdc.documents.sink import MOST_EVENTS
from cdc.documents.writer import Writer
from cdc.errors import PermanentError
from cdc.sinks.positions import DOCUMENTS_GROUP
from cdc.verify.passed import wait_until_passed
from tests.integration.documents.shop import Running, Shop, eventually, running

PATH = {"path": ["Küche", "Straße"], "path_folded": ["kuche", "strasse"]}
GROUP = f"{DOCUMENTS_GROUP}-test-{uuid4().hex[:8]}"


@pytest.fixture(scope="module", autouse=True)
def loaded(shop: Shop) -> list[str]:
    """Wares that were there before the index; loaded by the backfill."""
    documents.remove(shop.trees, shop.config)
    shop.execute("DELETE FROM wares")
    wares = [shop.add(1, name=f"Früh {n}") for n in range(3)]
    assert documents.outstanding(shop.trees, shop.config) == list(shop.trees)
    documents.prepare(shop.trees, shop.config)
    assert documents.backfill(shop.file, shop.known, shop.trees, shop.config) == {shop.tree.index: 3}
    assert documents.outstanding(shop.trees, shop.config) == []
    return wares


def test_the_first_load_writes_what_was_there(shop: Shop, loaded: list[str]) -> None:
    assert shop.document(loaded[0]) == {
        "id": loaded[0],
        "name": "Früh 0",
        "name_folded": "fruh 0",
        "rank": "1",
        "attributes": {},
        "section": {"title": "section"} | PATH,
        "price": {"amount_cents": 1000, "currency": "EUR"},
        "stock": {"available": 5},
        "notes": [],
    }


def test_every_kind_of_change_reaches_its_document(shop: Shop) -> None:
    with running(shop, GROUP):
        ware, other = shop.add(10), shop.add(11)
        eventually(lambda: shop.document(ware) is not None and shop.document(other) is not None)

        shop.execute("UPDATE prices SET amount = 12.34 WHERE ware_id = %s", ware)
        shop.execute("UPDATE stock SET available = 0 WHERE ware_id = %s", ware)
        shop.execute("UPDATE wares SET section_id = 11 WHERE id = %s", ware)
        shop.execute("UPDATE sections SET title = 'moved to' WHERE id = 11")
        shop.execute("INSERT INTO notes VALUES (1, %s, 'first'), (2, %s, 'second')", ware, ware)
        shop.execute("INSERT INTO replies VALUES (2, 1, 'b'), (1, 1, 'a')")
        shop.settle(GROUP)
        assert shop.document(ware) == {
            "id": ware,
            "name": "ware",
            "name_folded": "ware",
            "rank": "1",
            "attributes": {},
            "section": {"title": "moved to"} | PATH,
            "price": {"amount_cents": 1234, "currency": "EUR"},
            "stock": {"available": 0},
            "notes": [{"body": "first", "replies": ["a", "b"]}, {"body": "second", "replies": []}],
        }

        shop.execute("UPDATE notes SET ware_id = %s WHERE id = 1", other)
        shop.execute("DELETE FROM notes WHERE id = 2")
        shop.execute("DELETE FROM prices WHERE ware_id = %s", ware)
        shop.settle(GROUP)
        moved, got = shop.document(ware), shop.document(other)
        assert moved is not None and got is not None
        assert (moved["notes"], moved["price"]) == ([], None)
        assert got["notes"] == [{"body": "first", "replies": ["a", "b"]}]

        shop.execute("INSERT INTO prices VALUES (%s, 1, 'USD')", ware)
        shop.execute("DELETE FROM wares WHERE id = %s", other)
        shop.settle(GROUP)
        priced = shop.document(ware)
        assert priced is not None and priced["price"] == {"amount_cents": 100, "currency": "USD"}
        assert shop.document(other) is None

        shop.execute("INSERT INTO notes VALUES (3, %s, 'to be truncated')", ware)
        shop.execute("TRUNCATE notes CASCADE")
        shop.settle(GROUP)
        bare = shop.document(ware)
        assert bare is not None and bare["notes"] == []
        assert shop.proof(GROUP).equal


def test_a_changed_key_moves_the_document(shop: Shop) -> None:
    with running(shop, GROUP):
        old, new = shop.add(12), str(uuid4())
        with shop.database.transaction():
            shop.execute("DELETE FROM prices WHERE ware_id = %s", old)
            shop.execute("DELETE FROM stock WHERE ware_id = %s", old)
            shop.execute("UPDATE wares SET id = %s WHERE id = %s", new, old)
        shop.settle(GROUP)
        assert shop.document(old) is None
        assert shop.document(new) is not None


def test_a_change_of_a_shared_row_writes_each_document_once(shop: Shop) -> None:
    with running(shop, GROUP) as work:
        wares = [shop.add(20) for _ in range(50)]
        shop.settle(GROUP)
        before = work.sink.facts()["indexed"]
        with shop.database.transaction():
            shop.execute("UPDATE sections SET title = 'one' WHERE id = 20")
            shop.execute("UPDATE sections SET title = 'two' WHERE id = 20")
            shop.execute("UPDATE prices SET amount = amount + 1 WHERE ware_id = ANY(%s)", wares)
        shop.settle(GROUP)
        written = int(str(work.sink.facts()["indexed"])) - int(str(before))
        assert all((shop.document(ware) or {})["section"]["title"] == "two" for ware in wares)
        assert 50 <= written <= 100  # the transaction may arrive in two pieces: at most once in each


@pytest.mark.parametrize(
    ("roots", "rounds"), [(60, 300), pytest.param(10_000, 50, marks=pytest.mark.long)], ids=["36000", "1000000"]
)
def test_many_changes_of_a_backlog_write_each_document_once(
    shop: Shop, monkeypatch: pytest.MonkeyPatch, roots: int, rounds: int
) -> None:
    monkeypatch.setattr(
        "cdc.documents.sink.LINGER", 2.0
    )  # seconds: long enough for a slow machine to bring a lot whole
    with running(shop, GROUP):
        wares = shop.add_many(22, roots)
        shop.settle(GROUP)
    for _ in range(rounds):
        shop.execute("UPDATE prices SET amount = amount + 1 WHERE ware_id = ANY(%s)", wares)
        shop.execute("UPDATE stock SET available = available + 1 WHERE ware_id = ANY(%s)", wares)
    # until all of it is in Kafka
    wait_until_passed(shop.file, shop.database, shop.kafka, [], [], shop.position(), patience=300)
    with running(shop, GROUP) as work:
        shop.settle(GROUP)
        facts = work.sink.facts()
        changes = 2 * rounds * roots
        assert work.sink.events >= changes > 7 * MOST_EVENTS
        assert int(str(facts["indexed"])) <= roots * work.sink.flushes
        assert work.sink.flushes <= 3 * max(changes // 100_000, 1)
        assert shop.proof(GROUP).equal


def test_each_root_is_written_by_one_member_of_the_group(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    """The rows of a ware come to both members; its document is written by one of them only."""
    group = f"{GROUP}-members"
    wrote: dict[int, set[str]] = {}
    write = Writer.write

    def noted(writer: Writer, tree: documents.Tree, keys: Iterable[tuple[str, ...]]) -> None:
        keys = list(keys)
        wrote.setdefault(id(writer), set()).update(ware for (ware,) in keys)
        write(writer, tree, keys)

    wares = [shop.add(23) for _ in range(40)]
    with running(shop, group) as one, running(shop, group) as other:
        eventually(lambda: shop.kafka.members(group, documents.roots_topic(shop.file.source)) == 2, 40)
        shop.settle(group)
        monkeypatch.setattr(Writer, "write", noted)
        for amount in range(5):
            shop.execute("UPDATE prices SET amount = %s WHERE ware_id = ANY(%s)", amount, wares)
            shop.execute("UPDATE stock SET available = %s WHERE ware_id = ANY(%s)", amount, wares)
            shop.execute("UPDATE sections SET title = %s WHERE id = 23", str(amount))
            shop.settle(group)
        first, second = wrote.values()
        assert first and second
        assert (first & second, first | second) == (set(), set(wares))
        assert int(str(one.sink.facts()["handed_over"])) + int(str(other.sink.facts()["handed_over"])) > 0
        assert shop.proof(group).equal


def test_a_change_that_no_document_shows_writes_nothing(shop: Shop) -> None:
    with running(shop, GROUP) as work:
        ware = shop.add(21)
        shop.settle(GROUP)
        version, events = shop.version(ware), work.sink.events
        shop.execute("UPDATE wares SET hidden = 'x' WHERE id = %s", ware)
        shop.settle(GROUP)
        assert work.sink.events > events
        assert shop.version(ware) == version


def test_replayed_events_bring_nothing_old_back(shop: Shop) -> None:
    with running(shop, GROUP):
        changed, gone = shop.add(30, name="first"), shop.add(30)
        shop.execute("UPDATE wares SET name = 'second' WHERE id = %s", changed)
        shop.execute("DELETE FROM wares WHERE id = %s", gone)
        shop.settle(GROUP)
    version = shop.version(changed)
    again = f"{GROUP}-again"
    with running(shop, again):
        shop.settle(again)
        document = shop.document(changed)
        assert document is not None and document["name"] == "second"
        assert shop.version(changed) > version
        assert shop.document(gone) is None
        assert shop.proof(again).equal


def test_a_stopped_sink_goes_on_where_it_was(shop: Shop) -> None:
    with running(shop, GROUP):
        ware = shop.add(31)
        shop.settle(GROUP)
    shop.execute("UPDATE wares SET name = 'while away' WHERE id = %s", ware)
    with running(shop, GROUP):
        shop.settle(GROUP)
    document = shop.document(ware)
    assert document is not None and document["name"] == "while away"


def test_a_refused_document_is_parked_the_rest_flows_and_a_later_one_supersedes_it(shop: Shop) -> None:
    with running(shop, GROUP):
        ware = shop.add(40)
        shop.settle(GROUP)
        shop.execute("UPDATE wares SET rank = 'not a number' WHERE id = %s", ware)
        later = shop.add(40)
        shop.settle(GROUP)
        assert shop.document(later) is not None
        proof = shop.proof(GROUP)
        assert (proof.equal, proof.differing, proof.parked) == (False, 0, 1)
        [letter] = shop.letters()
        assert (letter.target, letter.name, letter.key) == ("elasticsearch", shop.tree.index, str(ware))
        assert "rank" in letter.reason and "not a number" in letter.body
        shop.execute("UPDATE wares SET rank = '7' WHERE id = %s", ware)
        shop.settle(GROUP)
        assert shop.proof(GROUP).equal
    document = shop.document(ware)
    assert document is not None and document["rank"] == "7"
    assert shop.letters() == []


def test_an_index_that_a_full_disk_has_blocked_is_waited_for_and_nothing_is_parked(shop: Shop) -> None:
    """Elasticsearch sets this block by itself where a disk passes its flood stage."""
    with running(shop, GROUP) as work:
        ware, gone = shop.add(45), shop.add(45)
        shop.settle(GROUP)
        blocked = {"index.blocks.read_only_allow_delete": True}
        shop.client.indices.put_settings(index=shop.tree.index, settings=blocked)
        try:
            shop.execute("UPDATE wares SET name = 'while it was full' WHERE id = %s", ware)
            shop.execute("DELETE FROM wares WHERE id = %s", gone)
            eventually(lambda: "no room" in str(work.sink.facts()["waits_for"]))
            with engine_state.connect(shop.config.millrace_state_dsn) as state:
                assert [wait.target for wait in waits.current(state)] == ["elasticsearch"]
            before = shop.document(ware)
            assert before is not None and before["name"] == "ware"
        finally:
            shop.client.indices.put_settings(index=shop.tree.index, settings=dict.fromkeys(blocked))
        shop.settle(GROUP)
        assert shop.proof(GROUP).equal
        assert work.sink.facts()["waits_for"] is None
    document = shop.document(ware)
    assert document is not None and document["name"] == "while it was full"
    assert shop.letters() == []


def test_a_lost_index_stops_the_sink_and_is_not_made_up(shop: Shop) -> None:
    with running(shop, GROUP):
        ware = shop.add(50)
        shop.settle(GROUP)

    def lose_it(work: Running) -> None:
        eventually(lambda: bool(work.sink.consumer.assignment()))
        documents.remove(shop.trees, shop.config)
        shop.execute("UPDATE wares SET name = 'no index' WHERE id = %s", ware)
        work.until_it_ends(30)

    with pytest.raises(PermanentError, match="there is no such alias"), running(shop, GROUP) as work:
        lose_it(work)
    with running(shop, GROUP) as work:
        eventually(lambda: work.sink.waiting_for == [shop.tree.index])
        assert not work.sink.ready
        assert not shop.client.indices.exists(index=shop.tree.index)
        documents.prepare(shop.trees, shop.config)
        documents.backfill(shop.file, shop.known, shop.trees, shop.config)
        shop.settle(GROUP)
        assert shop.proof(GROUP).equal
    assert index.is_loaded(shop.client, shop.tree)
