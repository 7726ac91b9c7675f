"""The tables of the sandbox's book, and how a book of the first edition (charges captured at once) becomes one of these."""

import sqlite3

_EDITION = 2
_TABLES = """
CREATE TABLE charge (
    id TEXT PRIMARY KEY, reference TEXT NOT NULL, amount TEXT NOT NULL, currency TEXT NOT NULL, token TEXT NOT NULL,
    status TEXT NOT NULL, failure_code TEXT, created_at REAL NOT NULL, updated_at REAL NOT NULL);
CREATE INDEX charge_reference ON charge (reference);
CREATE INDEX charge_updated_at ON charge (updated_at, id);
CREATE TABLE refund (
    reference TEXT PRIMARY KEY, id TEXT NOT NULL, charge_id TEXT NOT NULL REFERENCES charge (id), amount TEXT NOT NULL);
CREATE INDEX refund_charge_id ON refund (charge_id);
CREATE TABLE attempt (
    operation TEXT NOT NULL, about TEXT NOT NULL, count INTEGER NOT NULL, PRIMARY KEY (operation, about));
CREATE TABLE later (
    due REAL NOT NULL, command TEXT NOT NULL, about TEXT NOT NULL, arguments TEXT NOT NULL,
    PRIMARY KEY (command, about));
"""
_PUT_ASIDE = """
DROP INDEX IF EXISTS refund_charge_id;
ALTER TABLE charge RENAME TO first_charge;
ALTER TABLE refund RENAME TO first_refund;
"""
_TAKE_OVER = """
INSERT INTO charge SELECT id, reference, amount, currency, '', status, failure_code, 0, 0 FROM first_charge;
INSERT INTO refund SELECT reference, id, charge_id, amount FROM first_refund;
DROP TABLE first_refund;
DROP TABLE first_charge;
"""


def prepare(connection: sqlite3.Connection) -> None:
    """Bring an open book to this edition; nothing it knew is lost."""
    connection.executescript("PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL;")
    [(edition,)] = connection.execute("PRAGMA user_version").fetchall()
    if edition == _EDITION:
        return
    first = connection.execute("SELECT 1 FROM sqlite_master WHERE name = 'charge'").fetchone() is not None
    steps = (_PUT_ASIDE, _TABLES, _TAKE_OVER) if first else (_TABLES,)
    connection.executescript(f"BEGIN; {''.join(steps)} PRAGMA user_version = {_EDITION}; COMMIT;")
