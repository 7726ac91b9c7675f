"""A role without rights, a slot that is somebody else's: `plan` names each lack with the statement that mends it."""

import os
import re
import secrets
from collections.abc import Iterator
from dataclasses import replace

import psycopg
import pytest
from psycopg import sql
from psycopg.conninfo import conninfo_to_dict

from bench.source import ThrowAwaySource
from cdc import source_database
from cdc.connect.inspection import inspect
from cdc.errors import ConfigurationError, TransientError
from cdc.source_file import SourceFile
from cdc.verify import verify_tables
from tests.integration.cdc.conftest import MakeSource, run

TABLES = """
CREATE SCHEMA "Other"; CREATE TABLE "Other"."T x" (id int PRIMARY KEY);
CREATE TABLE t (id int PRIMARY KEY); ALTER TABLE t ENABLE ROW LEVEL SECURITY; ALTER TABLE t FORCE ROW LEVEL SECURITY;
CREATE POLICY part ON t USING (id > 1);
"""


@pytest.fixture
def roles(engine: None) -> Iterator[list[str]]:
    """Names of roles to drop once the databases are gone in which they own something."""
    names: list[str] = []
    yield names
    with psycopg.connect(os.environ["POSTGRES_ADMIN_DSN"], autocommit=True) as connection:
        for name in names:
            connection.execute(sql.SQL("DROP ROLE {}").format(sql.Identifier(name)))


@pytest.fixture
def bare(roles: list[str], make_source: MakeSource) -> tuple[ThrowAwaySource, ThrowAwaySource]:
    """A source as a superuser sees it, and the same by a role that may do nothing but log in."""
    source = make_source(TABLES)
    role, password = f"bare {secrets.token_hex(4)}", secrets.token_hex(8)
    name, holder = sql.Identifier(role), sql.Identifier(f"owner of {role}")
    with psycopg.connect(source.dsn, autocommit=True) as connection:
        connection.execute(sql.SQL("CREATE ROLE {} LOGIN PASSWORD {}").format(name, sql.Literal(password)))
        connection.execute(sql.SQL("CREATE ROLE {}").format(holder))
        roles += [role, f"owner of {role}"]
        for table in (sql.Identifier("t"), sql.Identifier("Other", "T x")):
            connection.execute(sql.SQL("ALTER TABLE {} OWNER TO {}").format(table, holder))
    where = conninfo_to_dict(source.dsn)
    dsn = f"host={where['host']} port={where['port']} dbname={where['dbname']} user='{role}' password={password}"
    return source, replace(source, file=source.file.model_copy(update={"dsn": dsn, "tables": ("*",)}))


def problems(file: SourceFile) -> tuple[str, ...]:
    """What stands in the way of capturing by this file."""
    with source_database.connect(file) as connection:
        return inspect(file, connection).problems


def test_each_missing_right_is_named_with_the_statement_that_grants_it(
    bare: tuple[ThrowAwaySource, ThrowAwaySource],
) -> None:
    owner, source = bare
    found = problems(source.file)
    role = conninfo_to_dict(source.file.dsn)["user"]
    expected = [
        f'may not replicate; ALTER ROLE "{role}" REPLICATION;',
        f'may not create a publication; GRANT CREATE ON DATABASE "{source.name}" TO "{role}";',
        f'may not use the schema Other; GRANT USAGE ON SCHEMA "Other" TO "{role}";',
        f'may not read Other.T x; GRANT SELECT ON "Other"."T x" TO "{role}";',
        f'does not own Other.T x, so it may not publish it; GRANT "owner of {role}" TO "{role}";',
        f'may not read public.t; GRANT SELECT ON "public"."t" TO "{role}";',
        f'hides rows of public.t from role {role}, and a copy without them would be wrong; ALTER ROLE "{role}" BYPASSRLS;',
    ]
    for line in expected:
        assert sum(line in problem for problem in found) == 1, (line, found)
    run(owner, "INSERT INTO t VALUES (1), (2)", 'INSERT INTO "Other"."T x" VALUES (1)')
    run(owner, *(re.search(r"; ((?:GRANT|ALTER) .*;)$", problem)[1] for problem in found))  # type: ignore[index]
    assert problems(source.file) == ()
    source.apply()
    run(owner, "INSERT INTO t VALUES (3)")
    assert {(proof.table, proof.rows_source, proof.equal) for proof in verify_tables([source.name])} == {
        ("public.t", 3, True),
        ("Other.T x", 1, True),
    }


def test_rows_that_a_policy_hides_are_refused_before_anything_is_copied(
    bare: tuple[ThrowAwaySource, ThrowAwaySource],
) -> None:
    owner, source = bare
    role = sql.Identifier(str(conninfo_to_dict(source.file.dsn)["user"]))
    with psycopg.connect(owner.dsn, autocommit=True) as connection:
        holder = sql.Identifier(f"owner of {conninfo_to_dict(source.file.dsn)['user']}")
        connection.execute(sql.SQL("ALTER ROLE {} REPLICATION").format(role))
        connection.execute(sql.SQL("GRANT {} TO {}").format(holder, role))
        connection.execute(sql.SQL('GRANT USAGE ON SCHEMA "Other" TO {}').format(role))
        connection.execute(sql.SQL("GRANT CREATE ON DATABASE {} TO {}").format(sql.Identifier(source.name), role))
    with pytest.raises(
        ConfigurationError, match=r"row-level security hides rows of public\.t from role bare .*BYPASSRLS"
    ):
        source.apply()


def test_a_slot_that_is_not_ours_is_refused(make_source: MakeSource) -> None:
    source = make_source("CREATE TABLE t (id int PRIMARY KEY)")
    run(source, f"SELECT pg_create_logical_replication_slot('{source.file.slot}', 'test_decoding')")
    with pytest.raises(ConfigurationError, match=r"exists and is something else's \(test_decoding\)"):
        source.apply()


def test_a_slot_of_another_database_is_refused(make_source: MakeSource) -> None:
    source, other = make_source("CREATE TABLE t (id int PRIMARY KEY)"), make_source("")
    run(other, f"SELECT pg_create_logical_replication_slot('{source.file.slot}', 'pgoutput')")
    try:
        with pytest.raises(
            ConfigurationError, match=f"belongs to the database {other.name}; name the source otherwise"
        ):
            source.apply()
    finally:
        run(other, f"SELECT pg_drop_replication_slot('{source.file.slot}')")


def test_a_dsn_that_leads_nowhere_says_so(make_source: MakeSource) -> None:
    source = make_source("CREATE TABLE t (id int PRIMARY KEY)")
    for wrong in ("/nowhere", ":wrong@"):
        dsn = source.dsn.replace(f"/{source.name}", wrong) if "/" in wrong else re.sub(r":[^:/@]+@", wrong, source.dsn)
        with pytest.raises(TransientError, match=f"source {source.name}: .*is it up, and is `dsn` right"):
            problems(source.file.model_copy(update={"dsn": dsn}))
