"""A load of every kind of change on one table, going on through the crash of any server."""

import threading
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from itertools import count

import psycopg

TABLE = "CREATE TABLE t (id int PRIMARY KEY, v text, amount numeric(12, 2) NOT NULL DEFAULT 0)"
_COPIED = 1_000_000_000


@contextmanager
def load(dsn: str) -> Iterator["Future[None]"]:
    """Inserts, updates, deletes and key changes, in transactions, until the block ends; a dead server is tried again."""
    done = threading.Event()
    numbers = count(1)

    def write() -> None:
        while not done.is_set():
            try:
                with psycopg.connect(dsn, autocommit=True, connect_timeout=2) as connection:
                    while not done.is_set():
                        n = next(numbers) * 10
                        with connection.transaction():
                            connection.execute(
                                "INSERT INTO t SELECT g, 'v' || g, g * 0.01 FROM generate_series(%s::int, %s::int) g "
                                "ON CONFLICT DO NOTHING",
                                [n, n + 9],
                            )
                            connection.execute(
                                "UPDATE t SET v = 'changed', amount = amount + 1 WHERE id BETWEEN %s AND %s",
                                [n - 25, n - 15],
                            )
                            connection.execute("UPDATE t SET id = -id WHERE id = %s", [n - 12])
                            connection.execute("DELETE FROM t WHERE id = %s", [n - 14])
                        # rows of one COPY share positions in the log
                        with connection.cursor() as cursor, cursor.copy("COPY t (id, v) FROM STDIN") as rows:
                            for number in range(_COPIED + n, _COPIED + n + 10):
                                rows.write_row((number, "copied"))
            except psycopg.OperationalError:
                done.wait(0.2)  # the server was killed: that is the test

    with ThreadPoolExecutor(1) as pool:
        writer = pool.submit(write)
        try:
            yield writer
        finally:
            done.set()
        writer.result()
