"""A writer that goes on whatever the table looks like: inserts, updates and deletes by the key alone."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager

import psycopg
from psycopg import sql

from bench.source import ThrowAwaySource


@contextmanager
def writing(source: ThrowAwaySource, tables: list[str]) -> Iterator[None]:
    """Write to tables with a column `id` of integers for the block, one after the other."""
    stopping = threading.Event()
    failed: list[psycopg.Error] = []

    def write() -> None:
        try:
            with psycopg.connect(source.dsn, autocommit=True) as connection:
                number = 1_000_000
                while not stopping.wait(0.003):
                    number += 1
                    name = sql.Identifier(tables[number % len(tables)])
                    connection.execute(sql.SQL("INSERT INTO {} (id) VALUES (%s)").format(name), [number])
                    connection.execute(sql.SQL("UPDATE {} SET id = id WHERE id = %s").format(name), [number % 500])
                    connection.execute(
                        sql.SQL("DELETE FROM {} WHERE id = %s").format(name), [number - 20 * len(tables)]
                    )
        except psycopg.Error as error:
            failed.append(error)

    writer = threading.Thread(target=write)
    writer.start()
    try:
        yield
    finally:
        stopping.set()
        writer.join()
    assert not failed, f"the writer failed: {failed[0]}"
