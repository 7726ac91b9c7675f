"""Roles and databases of the primary: one role per database and no rights across.

Safe to repeat: it creates what is missing and sets every password to the one in the state folder. It never drops a
role or a database.
"""

import hashlib
import inspect
from collections.abc import Mapping

import psycopg
from psycopg import sql

from stack import parts
from stack.errors import StartFailed
from stack.settings import SERVICES

OWNERS = (*SERVICES, "millrace", "dagster", "superset")
"""Each owns the database of its name."""


def fingerprint() -> str:
    """Changes when this module does."""
    return hashlib.sha256(inspect.getsource(inspect.getmodule(fingerprint) or fingerprint).encode()).hexdigest()


def create_databases(admin: str, secrets: Mapping[str, str]) -> None:
    """Bring roles, databases, grants and the replica's slot to what this module says.

    Raises StartFailed when PostgreSQL refuses.
    """
    try:
        _create(admin, secrets)
    except psycopg.Error as error:
        raise StartFailed(f"roles and databases could not be made: {error}".splitlines()[0]) from error


def _create(admin: str, secrets: Mapping[str, str]) -> None:
    with psycopg.connect(admin, autocommit=True) as connection:
        roles = dict.fromkeys(OWNERS, "LOGIN")
        roles |= {"cdc": "LOGIN REPLICATION BYPASSRLS", "replication": "LOGIN REPLICATION", "auditor": "LOGIN"}
        for role, options in roles.items():
            _ensure_role(connection, role, options, secrets[role])
        for name in ("postgres", "template1"):
            _execute(connection, "REVOKE CONNECT ON DATABASE {} FROM PUBLIC", name)
        # a replica reads there which slots it is to keep
        _execute(connection, "GRANT CONNECT ON DATABASE postgres TO replication")
        for database in OWNERS:
            if not _exists(connection, "SELECT FROM pg_database WHERE datname = %s", database):
                _execute(connection, "CREATE DATABASE {} OWNER {}", database, database)
            _execute(connection, "REVOKE CONNECT, TEMPORARY ON DATABASE {} FROM PUBLIC", database)
        for service in SERVICES:
            _execute(connection, "GRANT {} TO cdc", service)
            _execute(connection, "GRANT CONNECT, CREATE ON DATABASE {} TO cdc", service)
            _execute(connection, "GRANT CONNECT ON DATABASE {} TO auditor", service)
        # reads every service's facts to hold them against each other, and can change none
        connection.execute("GRANT pg_read_all_data TO auditor")
        connection.execute("ALTER ROLE auditor SET default_transaction_read_only = on")
        if not _exists(connection, "SELECT FROM pg_replication_slots WHERE slot_name = %s", "replica"):
            connection.execute("SELECT pg_create_physical_replication_slot('replica', true)")
        if parts.postgres_has_extension("pg_stat_statements"):  # in one database it shows the statements of all
            connection.execute("CREATE EXTENSION IF NOT EXISTS pg_stat_statements")


def _ensure_role(connection: psycopg.Connection, role: str, options: str, password: str) -> None:
    verb = "ALTER" if _exists(connection, "SELECT FROM pg_roles WHERE rolname = %s", role) else "CREATE"
    connection.execute(
        sql.SQL("{verb} ROLE {role} {options} PASSWORD {password}").format(
            verb=sql.SQL(verb), role=sql.Identifier(role), options=sql.SQL(options), password=sql.Literal(password)
        )
    )


def _exists(connection: psycopg.Connection, query: str, name: str) -> bool:
    return connection.execute(query.encode(), (name,)).fetchone() is not None


def _execute(connection: psycopg.Connection, template: str, *names: str) -> None:
    connection.execute(sql.SQL(template).format(*map(sql.Identifier, names)))
