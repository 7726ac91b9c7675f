"""`python -m services.kit.migrate NAME ...`: bring each service's database to the shape of its numbered SQL files.

Forward only. `services/<name>/migrations/NNNN_title.sql` are applied in order, each in a transaction of its own, under
an advisory lock, and recorded in `service.schema_migrations`. Before them come the kit's own tables, which every service
has: `services/kit/migrations`, recorded in `service.kit_migrations`. Refuses a file that was edited or removed after it
was applied, a gap or a repetition in the numbers, and a lock that cannot be had soon: nothing queues behind it.
"""

import hashlib
import os
import re
import sys
from dataclasses import dataclass
from pathlib import Path

import psycopg
from psycopg.rows import class_row
from psycopg.sql import SQL, Identifier
from pydantic import TypeAdapter, ValidationError

from services.kit.settings import Dsn

SERVICES = Path(__file__).resolve().parent.parent
KIT = "kit"
_FILE_NAME = re.compile(r"(\d{4})_[a-z0-9_]+\.sql")
# Any fixed number: it only has to be the same in all runners on one database.
_ADVISORY_LOCK = 4_721_001
_OTHER_RUNNER_WAIT = "60s"
# A table lock that takes longer would make every other query of the service wait behind it.
_TABLE_LOCK_WAIT = "5s"

_VERSION_TABLE = SQL("""
CREATE SCHEMA IF NOT EXISTS service;
CREATE TABLE IF NOT EXISTS service.{} (
    name       text PRIMARY KEY,
    sha256     text NOT NULL,
    applied_at timestamptz NOT NULL DEFAULT now()
)""")


class MigrationError(Exception):
    """The files and the database do not fit; the message says which file and what to do."""


@dataclass(frozen=True, slots=True)
class Migration:
    name: str
    sha256: str


@dataclass(frozen=True, slots=True)
class MigrationFile(Migration):
    sql: str


def read(folder: Path) -> list[MigrationFile]:
    """The folder's files in order. Raises MigrationError on a bad name, a gap or a repeated number."""
    files: list[MigrationFile] = []
    for path in sorted(folder.glob("*.sql")):
        match = _FILE_NAME.fullmatch(path.name)
        if match is None:
            raise MigrationError(f"{path.name}: name it NNNN_title.sql with small letters, digits and _")
        if int(match[1]) != len(files) + 1:
            raise MigrationError(
                f"{path.name}: number {len(files) + 1:04d} is expected here; close the gap or renumber"
            )
        text = path.read_text(encoding="utf-8")
        files.append(MigrationFile(path.name, hashlib.sha256(text.encode()).hexdigest(), text))
    if not files:
        raise MigrationError(f"{folder}: no migration here")
    return files


def outstanding(files: list[MigrationFile], applied: list[Migration]) -> list[MigrationFile]:
    """The files still to be applied. Raises MigrationError when the applied ones are not the first files, unchanged."""
    for position, done in enumerate(applied):
        file = files[position] if position < len(files) else None
        if file is None or file.name != done.name:
            raise MigrationError(f"{done.name} is applied but not here at its place; restore the file")
        if file.sha256 != done.sha256:
            raise MigrationError(f"{file.name} was edited after it was applied; undo that and write a new migration")
    return files[len(applied) :]


def record(name: str) -> str:
    """The table of schema `service` that says which files of the folder `name` are applied."""
    return "kit_migrations" if name == KIT else "schema_migrations"


def apply(dsn: str, files: list[MigrationFile], recorded_in: str = "schema_migrations") -> list[str]:
    """Apply what is outstanding; the names of the applied files. What was applied before an error stays applied."""
    table = Identifier(recorded_in)
    with psycopg.connect(dsn, autocommit=True, application_name="migrate") as connection:
        connection.execute("SELECT set_config('lock_timeout', %s, false)", [_OTHER_RUNNER_WAIT])
        connection.execute("SELECT pg_advisory_lock(%s)", [_ADVISORY_LOCK])
        connection.execute("SELECT set_config('lock_timeout', %s, false)", [_TABLE_LOCK_WAIT])
        connection.execute(_VERSION_TABLE.format(table))
        with connection.cursor(row_factory=class_row(Migration)) as cursor:
            applied = cursor.execute(SQL("SELECT name, sha256 FROM service.{} ORDER BY name").format(table)).fetchall()
        todo = outstanding(files, applied)
        for file in todo:
            try:
                with connection.transaction():
                    connection.execute(file.sql.encode())
                    connection.execute(
                        SQL("INSERT INTO service.{} (name, sha256) VALUES (%s, %s)").format(table),
                        [file.name, file.sha256],
                    )
            except psycopg.Error as error:
                raise MigrationError(f"{file.name}: {str(error).strip()}") from error
        return [file.name for file in todo]


def complete(dsn: str, name: str) -> list[str]:
    """Give a database all tables of service `name`, the kit's too; the names of the applied files."""
    applied: list[str] = []
    for folder in (KIT, name):
        files = apply(dsn, read(SERVICES / folder / "migrations"), record(folder))
        applied += [file if folder == name else f"{folder}/{file}" for file in files]
    return applied


def migrate(name: str) -> list[str]:
    """Bring the database of service `name` up to date; its address is in <NAME>_DSN."""
    variable = f"{name.upper()}_DSN"
    meaning = f"address of the {name} database, as its owner"
    if not (dsn := os.environ.get(variable)):
        raise MigrationError(f"setting {variable} ({meaning}) is not set")
    try:
        TypeAdapter(Dsn).validate_python(dsn)
    except ValidationError as error:
        raise MigrationError(f"setting {variable} ({meaning}) is wrong: {error.errors()[0]['msg']}") from None
    return complete(dsn, name)


def main(names: list[str]) -> int:
    known = sorted(path.parent.name for path in SERVICES.glob("*/migrations") if path.parent.name != KIT)
    if not names or set(names) - set(known):
        print(f"name services to migrate, out of: {', '.join(known)}", file=sys.stderr)
        return 2
    for name in names:
        try:
            applied = migrate(name)
        except MigrationError as error:
            print(f"{name}: {error}", file=sys.stderr)
            return 2
        except psycopg.Error as error:
            print(f"{name}: the database refused: {' '.join(str(error).split())}", file=sys.stderr)
            return 1
        print(f"{name}: {', '.join(applied) if applied else 'up to date'}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
