"""The migrations' runner on a database of its own."""

import asyncio
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from uuid import uuid4

import psycopg
import pytest
from psycopg.conninfo import make_conninfo
from psycopg.sql import SQL, Identifier

from services.kit.db import Primary
from services.kit.health import NotMigrated, at_migrations_head
from services.kit.migrate import KIT, SERVICES, MigrationError, apply, main, read, record
from tests.integration.services.shop import Stack


@pytest.fixture
def dsn(stack: Stack) -> Iterator[str]:
    """An empty database."""
    name = f"test_{uuid4().hex}"
    with psycopg.connect(stack.env["POSTGRES_ADMIN_DSN"], autocommit=True) as admin:
        admin.execute(SQL("CREATE DATABASE {}").format(Identifier(name)))
        yield make_conninfo(stack.env["POSTGRES_ADMIN_DSN"], dbname=name)
        admin.execute(SQL("DROP DATABASE {} WITH (FORCE)").format(Identifier(name)))


def tables(dsn: str) -> set[str]:
    with psycopg.connect(dsn) as connection:
        rows = connection.execute("SELECT tablename FROM pg_tables WHERE schemaname = 'public'").fetchall()
    return {name for (name,) in rows}


def test_files_are_applied_once_and_recorded(dsn: str, tmp_path: Path) -> None:
    (tmp_path / "0001_one.sql").write_text("CREATE TABLE one (id int); CREATE TABLE other (id int);")
    assert apply(dsn, read(tmp_path)) == ["0001_one.sql"]
    (tmp_path / "0002_two.sql").write_text("CREATE TABLE two (id int)")
    assert apply(dsn, read(tmp_path)) == ["0002_two.sql"]
    assert apply(dsn, read(tmp_path)) == []
    assert tables(dsn) == {"one", "other", "two"}
    with psycopg.connect(dsn) as connection:
        recorded = connection.execute("SELECT name, length(sha256) FROM service.schema_migrations ORDER BY name")
        assert recorded.fetchall() == [("0001_one.sql", 64), ("0002_two.sql", 64)]


def test_an_edited_file_is_refused_and_nothing_applied(dsn: str, tmp_path: Path) -> None:
    (tmp_path / "0001_one.sql").write_text("CREATE TABLE one (id int)")
    apply(dsn, read(tmp_path))
    (tmp_path / "0001_one.sql").write_text("CREATE TABLE one (id bigint)")
    (tmp_path / "0002_two.sql").write_text("CREATE TABLE two (id int)")
    with pytest.raises(MigrationError, match="edited"):
        apply(dsn, read(tmp_path))
    assert tables(dsn) == {"one"}


def test_a_failing_file_leaves_nothing_of_itself(dsn: str, tmp_path: Path) -> None:
    (tmp_path / "0001_one.sql").write_text("CREATE TABLE one (id int)")
    (tmp_path / "0002_two.sql").write_text("CREATE TABLE two (id int); SELECT 1 / 0")
    with pytest.raises(MigrationError, match=r"0002_two\.sql: division by zero"):
        apply(dsn, read(tmp_path))
    assert tables(dsn) == {"one"}


def test_two_runners_at_once_apply_each_file_once(dsn: str, tmp_path: Path) -> None:
    (tmp_path / "0001_one.sql").write_text("CREATE TABLE one (id int); SELECT pg_sleep(0.2)")
    with ThreadPoolExecutor(3) as pool:
        applied = list(pool.map(lambda _: apply(dsn, read(tmp_path)), range(3)))
    assert sorted(applied) == [[], [], ["0001_one.sql"]]


@pytest.mark.parametrize("name", ["users", "products", "orders", "payments"])
def test_every_service_is_migrated_from_nothing_and_again(dsn: str, name: str) -> None:
    files = read(SERVICES / name / "migrations")
    assert apply(dsn, files) == [file.name for file in files]
    assert apply(dsn, files) == []


def test_the_kits_tables_come_first_and_are_recorded_apart(
    dsn: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("USERS_DSN", dsn)
    assert main(["users"]) == 0
    first, *_, last = capsys.readouterr().out.removeprefix("users: ").strip().split(", ")
    assert (first, last[:4].isdigit()) == ("kit/0001_idempotency.sql", True)
    assert main(["users"]) == 0
    assert capsys.readouterr().out == "users: up to date\n"
    with psycopg.connect(dsn) as connection:
        kit = connection.execute("SELECT name FROM service.kit_migrations ORDER BY name").fetchall()
        own = connection.execute("SELECT name FROM service.schema_migrations ORDER BY name").fetchall()
    assert kit == [(file.name,) for file in read(SERVICES / KIT / "migrations")]
    assert own == [(file.name,) for file in read(SERVICES / "users" / "migrations")]


def test_a_database_without_the_newest_migration_is_not_ready(dsn: str) -> None:
    async def check() -> None:
        async with Primary(dsn, "test") as primary:
            await at_migrations_head("users", primary)

    files = read(SERVICES / "users" / "migrations")
    apply(dsn, files[:-1])
    apply(dsn, read(SERVICES / KIT / "migrations"), record(KIT))
    with pytest.raises(NotMigrated, match=files[-1].name):
        asyncio.run(check())
    apply(dsn, files)
    asyncio.run(check())
