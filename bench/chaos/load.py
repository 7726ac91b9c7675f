"""The load: writers of every kind of change, each with a sequence of statements that follows from the seed.

A statement whose connection dies is not repeated: whether it was committed is for the source to say, and the copy must agree.
"""

import random
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import psycopg

TABLES = """
CREATE TABLE accounts (
    id bigint PRIMARY KEY, owner text NOT NULL, balance numeric(14, 2) NOT NULL, updated_at timestamptz NOT NULL DEFAULT now());
CREATE TABLE notes (id bigint PRIMARY KEY, revision int NOT NULL, body text, extra text);
CREATE TABLE lines (account bigint, line int, amount numeric(14, 2) NOT NULL, PRIMARY KEY (account, line));
CREATE TABLE scratch (id bigint PRIMARY KEY, v text);
"""

ROW_KINDS = ("insert", "update", "delete", "key change", "large value kept", "deleted and inserted again")
"""Kinds of row changes; a long run must make a thousand of each."""

SHAPE_KINDS = ("column renamed", "name used again", "type changed", "column dropped")
"""Kinds of changes of shape, besides added columns; one of them every half minute or so, and two each of a long run."""

_WRITERS = 3
_PAUSE = 0.004  # seconds between transactions of one writer: leaves the machine to what is tested
_LONG = 3.0
_FAR = 500_000_000  # how far a changed key lies from the old one
_BIG = "(SELECT string_agg(md5(random()::text), '') FROM generate_series(1, 150))"  # stored apart, incompressible

Connection = psycopg.Connection[Any]


class Load:
    """Writers on the database; ``counts`` says how many changes of each kind were committed."""

    def __init__(self, dsn: str, seed: int) -> None:
        self._dsn = dsn
        self._stopping = threading.Event()
        self._writers = [
            threading.Thread(target=self._write, args=(number, random.Random(f"{seed}/{number}")), daemon=True)
            for number in range(_WRITERS)
        ]
        self._counting = threading.Lock()
        self.counts: Counter[str] = Counter()
        self.failure: Exception | None = None

    @contextmanager
    def running(self) -> Iterator["Load"]:
        """Write until the block ends.

        Raises:
            psycopg.Error: a statement failed for another reason than a lost connection.
        """
        for writer in self._writers:
            writer.start()
        try:
            yield self
        finally:
            self._stopping.set()
            for writer in self._writers:
                writer.join()
        if self.failure is not None:
            raise self.failure

    def _write(self, number: int, chooser: random.Random) -> None:
        script = _Script(number, chooser)
        while not self._stopping.is_set() and self.failure is None:
            try:
                with psycopg.connect(self._dsn, connect_timeout=5) as connection:
                    while not self._stopping.is_set():
                        kinds = script.transaction(connection, self._stopping.wait)
                        connection.commit()
                        with self._counting:
                            self.counts.update(kinds)
                        self._stopping.wait(_PAUSE)
            except psycopg.OperationalError:
                self._stopping.wait(0.3)  # the server is being killed: that is the test
            except psycopg.Error as error:
                self.failure = error


class _Script:
    """One writer's statements, on keys that no other writer touches."""

    def __init__(self, number: int, chooser: random.Random) -> None:
        self._chooser = chooser
        self._base = (number + 1) * 1_000_000_000
        self._next = 0
        self._columns = self._shape = 0
        self._first = number == 0

    def transaction(self, connection: Connection, wait: Callable[[float], object]) -> Counter[str]:
        """Run the statements of the next transaction; returns the kinds of changes in it. The caller commits."""
        dice = self._chooser.random()
        kinds: Counter[str] = Counter()
        if dice < 0.0005 and self._first and self._columns < 5:
            self._columns += 1
            default = self._chooser.choice(["", " NOT NULL DEFAULT 7", " DEFAULT 3"])
            connection.execute(
                f"ALTER TABLE accounts ADD COLUMN IF NOT EXISTS added_{self._columns} int{default}".encode()
            )
            kinds["column added"] += 1
        elif dice < 0.0015 and self._first:
            kinds[self._reshape(connection)] += 1
        elif dice < 0.003:
            for _ in range(20):
                kinds += self._change(connection)
                wait(_LONG / 20)
            kinds["long transaction"] += 1
        elif dice < 0.006 and self._first:
            connection.execute(
                "INSERT INTO scratch SELECT i, 'x' FROM generate_series(%s::int, %s::int) i ON CONFLICT DO NOTHING",
                [1, 50],
            )
            connection.execute("TRUNCATE scratch")
            connection.execute("INSERT INTO scratch SELECT i, 'y' FROM generate_series(40, 60) i")
            kinds["truncate"] += 1
        else:
            for _ in range(self._chooser.randint(1, 8)):
                kinds += self._change(connection)
        return kinds

    def _change(self, connection: Connection) -> Counter[str]:
        kind = self._chooser.choices(ROW_KINDS, weights=(40, 25, 12, 8, 10, 5))[0]
        changed = {
            "insert": self._insert,
            "update": self._update,
            "delete": self._delete,
            "key change": self._change_key,
            "large value kept": self._keep_large,
            "deleted and inserted again": self._insert_again,
        }[kind](connection)
        return Counter({kind: changed})

    def _reshape(self, connection: Connection) -> str:
        """Change the shape of a table in a way that the other statements do not mind; returns the kind."""
        kind = self._chooser.choice(SHAPE_KINDS)
        self._shape += 1
        last = connection.execute(
            "SELECT attname::text FROM pg_attribute WHERE attrelid = 'notes'::regclass AND attnum > 0 AND NOT attisdropped "
            "ORDER BY attnum DESC LIMIT 1"
        ).fetchone()
        assert last is not None
        other = ("text DEFAULT 'again'", "int DEFAULT 3", "numeric(14, 2)")[self._shape % 3]
        statement = {
            "column renamed": f"ALTER TABLE notes RENAME COLUMN {last[0]} TO extra_{self._shape}",
            "name used again": f"ALTER TABLE notes DROP COLUMN {last[0]}, ADD COLUMN {last[0]} {other}",
            "type changed": f"ALTER TABLE scratch ALTER COLUMN v TYPE {('varchar(40)', 'text')[self._shape % 2]}",
            "column dropped": f"ALTER TABLE accounts DROP COLUMN IF EXISTS added_{self._chooser.randint(1, 5)}",
        }[kind]
        connection.execute(statement.encode())
        return kind

    def _some_key(self) -> int:
        return self._base + self._chooser.randint(max(0, self._next - 2000), max(self._next, 1))

    def _insert(self, connection: Connection) -> int:
        self._next += 1
        key, cents = self._base + self._next, self._chooser.randint(-(10**9), 10**9)
        connection.execute(
            "INSERT INTO accounts (id, owner, balance) VALUES (%s, %s, %s) ON CONFLICT DO NOTHING",
            [key, f"owner\t{cents}\\ é", cents / 100],
        )
        connection.execute(
            "INSERT INTO lines SELECT %s, n, n * 1.25 FROM generate_series(1, 3) n ON CONFLICT DO NOTHING", [key]
        )
        large = _BIG if self._chooser.random() < 0.3 else "'small'"
        connection.execute(f"INSERT INTO notes VALUES (%s, 0, {large}, NULL) ON CONFLICT DO NOTHING".encode(), [key])
        return 1

    def _update(self, connection: Connection) -> int:
        key = self._some_key()
        connection.execute("UPDATE lines SET amount = amount + 1 WHERE account = %s", [key])
        return connection.execute(
            "UPDATE accounts SET balance = balance + %s, updated_at = now() WHERE id = %s",
            [self._chooser.randint(-99, 99) / 100, key],
        ).rowcount

    def _delete(self, connection: Connection) -> int:
        key = self._some_key()
        connection.execute("DELETE FROM lines WHERE account = %s AND line <= 2", [key])
        connection.execute("DELETE FROM notes WHERE id = %s", [key])
        return connection.execute("DELETE FROM accounts WHERE id = %s", [key]).rowcount

    def _change_key(self, connection: Connection) -> int:
        key = self._some_key()
        self._move(connection, "notes", key, key + _FAR)
        moved = self._move(connection, "accounts", key, key + _FAR)
        if self._chooser.random() < 0.5:
            self._move(connection, "accounts", key + _FAR, key)
        return moved

    def _move(self, connection: Connection, table: str, key: int, to: int) -> int:
        statement = f"UPDATE {table} SET id = %s WHERE id = %s AND NOT EXISTS (SELECT FROM {table} WHERE id = %s)"
        return connection.execute(statement.encode(), [to, key, to]).rowcount

    def _keep_large(self, connection: Connection) -> int:
        return connection.execute("UPDATE notes SET revision = revision + 1 WHERE id = %s", [self._some_key()]).rowcount

    def _insert_again(self, connection: Connection) -> int:
        key = self._some_key()
        gone = connection.execute("DELETE FROM accounts WHERE id = %s", [key]).rowcount
        connection.execute(
            "INSERT INTO accounts (id, owner, balance) VALUES (%s, 'again', 0) ON CONFLICT DO NOTHING", [key]
        )
        return gone
