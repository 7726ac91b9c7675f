"""The fence: every transaction that was open when it was raised is visible to the copy, and every later one wins over it."""

import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager

import psycopg
import pytest

from bench.source import ThrowAwaySource
from cdc import source_database
from cdc.backfill.copy import Copied
from cdc.backfill.fence import raise_fence
from cdc.errors import TransientError
from cdc.verify import verify_tables
from tests.integration.cdc.conftest import MakeSource, copy_again, run, until

TABLE = "CREATE TABLE t (id int PRIMARY KEY, v text)"
WAITING = (
    "SELECT count(*) = 1 FROM pg_stat_activity WHERE application_name = 'millrace' AND query LIKE '%pg_snapshot_xmin%'"
)


class Background(threading.Thread):
    """Work that waits for the test."""

    def __init__(self, source: ThrowAwaySource, work: Callable[[], object]) -> None:
        super().__init__()
        self._dsn, self._work = source.dsn, work
        self.result: object = None

    def run(self) -> None:
        self.result = self._work()

    def until_it_waits(self) -> None:
        """Return when the fence waits for open transactions."""
        with psycopg.connect(self._dsn, autocommit=True) as watcher:
            until(lambda: watcher.execute(WAITING).fetchone() == (True,))

    def done(self) -> object:
        """Its result, soon."""
        self.join(30)
        assert not self.is_alive(), "the fence was not released"
        return self.result


def fence(source: ThrowAwaySource) -> Background:
    """A fence that is being raised."""

    def work() -> int:
        with source_database.connect(source.file) as connection:
            return raise_fence(connection)

    raising = Background(source, work)
    raising.start()
    return raising


@contextmanager
def plain(source: ThrowAwaySource) -> Iterator[Callable[[], object]]:
    with psycopg.connect(source.dsn) as writer:
        writer.execute("INSERT INTO t VALUES (1, 'open')")
        yield writer.commit


@contextmanager
def subtransaction(source: ThrowAwaySource) -> Iterator[Callable[[], object]]:
    with psycopg.connect(source.dsn) as writer:
        writer.execute("SAVEPOINT one")
        writer.execute("INSERT INTO t VALUES (1, 'in a subtransaction')")
        writer.execute("SAVEPOINT two")
        yield writer.commit


@contextmanager
def prepared(source: ThrowAwaySource) -> Iterator[Callable[[], object]]:
    with psycopg.connect(source.dsn, autocommit=True) as writer:
        writer.execute("BEGIN")
        writer.execute("INSERT INTO t VALUES (1, 'prepared')")
        writer.execute("PREPARE TRANSACTION 'half'")
        try:
            yield lambda: writer.execute("COMMIT PREPARED 'half'")
        finally:
            if writer.execute("SELECT FROM pg_prepared_xacts WHERE gid = 'half'").fetchone() is not None:
                writer.execute("ROLLBACK PREPARED 'half'")  # it would hold up every other test's fence


@contextmanager
def other_database(source: ThrowAwaySource) -> Iterator[Callable[[], object]]:
    run(source, "INSERT INTO t VALUES (1, 'here')")
    with psycopg.connect(source.dsn, dbname="postgres") as writer:
        writer.execute("SELECT pg_current_xact_id()")
        yield writer.commit


@pytest.mark.parametrize("opened", [plain, subtransaction, prepared, other_database])
def test_the_fence_waits_for_a_transaction_that_is_open_and_the_copy_sees_its_rows(
    make_source: MakeSource, opened: Callable[[ThrowAwaySource], AbstractContextManager[Callable[[], object]]]
) -> None:
    source = make_source(TABLE)
    with opened(source) as commit:
        raising = fence(source)
        raising.until_it_waits()
        assert raising.is_alive()
        commit()
        raising.done()
        with psycopg.connect(source.dsn) as later:
            assert later.execute("SELECT count(*) FROM t").fetchone() == (1,)


def test_whom_the_fence_waits_for_is_named(make_source: MakeSource) -> None:
    source = make_source(TABLE)
    with source_database.connect(source.file) as connection:
        with psycopg.connect(source.dsn) as slow:
            slow.execute("INSERT INTO t VALUES (1, 'slow')")
            with pytest.raises(TransientError, match=f"pid {slow.info.backend_pid} in {source.name}"):
                raise_fence(connection, patience=0.2)
            slow.rollback()
        with prepared(source) as commit:
            with pytest.raises(TransientError, match=f"prepared transaction 'half' in {source.name}"):
                raise_fence(connection, patience=0.2)
            commit()


def test_a_transaction_that_takes_its_number_after_the_fence_is_not_waited_for_and_wins(
    make_source: MakeSource,
) -> None:
    source = make_source(TABLE)
    run(source, "INSERT INTO t SELECT n, 'old' FROM generate_series(1, 100) n")
    source.capture()
    with psycopg.connect(source.dsn) as early, psycopg.connect(source.dsn) as late:
        late.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
        late.execute("SELECT count(*) FROM t")  # open before the fence, with a snapshot and no number
        early.execute("SELECT pg_current_xact_id()")
        copying = Background(source, lambda: copy_again(source))
        copying.start()
        copying.until_it_waits()
        late.execute("UPDATE t SET v = 'late' WHERE id <= 10")
        late.execute("DELETE FROM t WHERE id = 20")
        early.commit()
        assert copying.done() == [Copied("public.t", 100, copied_fence(copying), 0)]
        late.commit()
    [proof] = verify_tables([source.name])
    assert (proof.equal, proof.rows_source) == (True, 99)


def test_the_first_change_after_the_fence_of_an_idle_source_wins(make_source: MakeSource) -> None:
    """Its version counts from the commit before it, which is the fence's own message."""
    source = make_source(TABLE)
    run(source, "INSERT INTO t VALUES (1, 'old')")
    source.capture()
    copy_again(source, lambda *_: run(source, "UPDATE t SET v = 'new'"))
    [proof] = verify_tables([source.name])
    assert proof.equal


def test_an_insert_that_waited_for_its_key_to_be_deleted_lives_though_its_record_is_below_the_fence(
    make_source: MakeSource,
) -> None:
    source = make_source(TABLE)
    run(source, "INSERT INTO t VALUES (1, 'old')")
    source.capture()
    with psycopg.connect(source.dsn) as first, psycopg.connect(source.dsn) as second:
        first.execute("UPDATE t SET v = 'touched' WHERE id = 1")
        second.pgconn.send_query(b"INSERT INTO t VALUES (1, 'new')")
        with psycopg.connect(source.dsn, autocommit=True) as watcher:
            blocked = "SELECT cardinality(pg_blocking_pids(%s)) > 0"
            until(lambda: watcher.execute(blocked, [second.info.backend_pid]).fetchone() == (True,))
        copying = Background(source, lambda: copy_again(source))
        copying.start()
        copying.until_it_waits()
        first.execute("DELETE FROM t WHERE id = 1")
        first.commit()
        while second.pgconn.get_result() is not None:
            pass
        second.commit()
        copying.done()
    [proof] = verify_tables([source.name])
    assert (proof.equal, proof.rows_source) == (True, 1)


def copied_fence(copying: Background) -> int:
    """The fence of a finished copy."""
    assert isinstance(copying.result, list)
    copied: Copied = copying.result[0]
    return copied.fence
