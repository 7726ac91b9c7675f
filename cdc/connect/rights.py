"""What the server and the role must allow before a source can be captured; each lack with the statement that mends it."""

from typing import Any

import psycopg
from psycopg import sql
from psycopg.rows import dict_row

from cdc.catalog import Shape
from cdc.source_file import SourceFile

OLDEST_SERVER = 14
"""The first that sends our messages through pgoutput; fences and heartbeats are messages."""

_SERVER = """
SELECT current_setting('server_version') AS version, current_setting('server_version_num')::int4 AS number,
       current_setting('wal_level') AS level, r.rolname::text AS role, r.rolreplication OR r.rolsuper AS may_replicate,
       has_database_privilege(current_database(), 'CREATE') AS may_create, current_database()::text AS database,
       pg_is_in_recovery() AS replica,
       (SELECT count(*) FROM pg_replication_slots WHERE slot_name <> %(slot)s)
           < current_setting('max_replication_slots')::int4 AS slot_free
FROM pg_roles r WHERE r.rolname = current_user
"""

_SLOT = """
SELECT plugin::text, database::text, temporary, slot_type, a.usename::text AS held_by, current_user::text AS role,
       current_database()::text AS here
FROM pg_replication_slots s LEFT JOIN pg_stat_activity a ON a.pid = s.active_pid WHERE slot_name = %(slot)s
"""

_TABLE = """
SELECT has_schema_privilege(n.oid, 'USAGE') AS may_use, has_table_privilege(c.oid, 'SELECT') AS may_read,
       pg_has_role(c.relowner, 'USAGE') OR EXISTS (
           SELECT FROM pg_publication_tables p
           WHERE (p.pubname, p.schemaname, p.tablename) = (%(publication)s, n.nspname, c.relname)) AS may_publish,
       row_security_active(c.oid) AS filtered, pg_get_userbyid(c.relowner)::text AS owner, current_user::text AS role
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE (n.nspname, c.relname) = (%(schema)s, %(table)s)
"""


def server_problems(file: SourceFile, source: psycopg.Connection[Any]) -> list[str]:
    """What the server, the role or the slot's state stands in the way of."""
    with source.cursor(row_factory=dict_row) as cursor:
        server = cursor.execute(_SERVER, {"slot": file.slot}).fetchone()
        slot = cursor.execute(_SLOT, {"slot": file.slot}).fetchone()
    assert server is not None
    role = sql.Identifier(server["role"])
    problems = []
    if server["number"] < OLDEST_SERVER * 10000:
        problems.append(f"the server is PostgreSQL {server['version']}; {OLDEST_SERVER} or newer is needed")
    if server["replica"]:
        problems.append("the server is a replica; `dsn` must lead to the primary")
    if server["level"] != "logical":
        problems.append(f"the server runs with wal_level={server['level']}; set wal_level=logical and restart it")
    if not server["may_replicate"]:
        problems.append(f"role {server['role']} may not replicate; {_say('ALTER ROLE {} REPLICATION', role)}")
    if not server["may_create"]:
        grant = _say("GRANT CREATE ON DATABASE {} TO {}", sql.Identifier(server["database"]), role)
        problems.append(f"role {server['role']} may not create a publication; {grant}")
    if slot is not None:
        problems += _slot_problems(file.slot, slot)
    elif not server["slot_free"]:
        problems.append("no replication slot is free; raise max_replication_slots and restart the server")
    return problems


def table_problems(file: SourceFile, source: psycopg.Connection[Any], shape: Shape) -> list[str]:
    """What the role may not do with one table, and whether it would see all of its rows."""
    with source.cursor(row_factory=dict_row) as cursor:
        names = {"schema": shape.schema, "table": shape.table, "publication": file.publication}
        found = cursor.execute(_TABLE, names).fetchone()
    assert found is not None, f"{shape.qualified} was read from the catalog a moment ago"
    role, table = sql.Identifier(found["role"]), sql.Identifier(shape.schema, shape.table)
    problems = []
    if not found["may_use"]:
        grant = _say("GRANT USAGE ON SCHEMA {} TO {}", sql.Identifier(shape.schema), role)
        problems.append(f"role {found['role']} may not use the schema {shape.schema}; {grant}")
    if not found["may_read"]:
        grant = _say("GRANT SELECT ON {} TO {}", table, role)
        problems.append(f"role {found['role']} may not read {shape.qualified}; {grant}")
    if not found["may_publish"]:
        grant = _say("GRANT {} TO {}", sql.Identifier(found["owner"]), role)
        problems.append(f"role {found['role']} does not own {shape.qualified}, so it may not publish it; {grant}")
    if found["filtered"]:
        problems.append(
            f"row-level security hides rows of {shape.qualified} from role {found['role']}, and a copy without them would "
            f"be wrong; {_say('ALTER ROLE {} BYPASSRLS', role)}"
        )
    return problems


def _slot_problems(name: str, slot: dict[str, Any]) -> list[str]:
    if (slot["plugin"], slot["slot_type"], slot["temporary"]) != ("pgoutput", "logical", False):
        kind = slot["plugin"] or slot["slot_type"]
        return [f"the slot {name} exists and is something else's ({kind}); name the source otherwise, or drop the slot"]
    if slot["database"] != slot["here"]:
        return [f"the slot {name} belongs to the database {slot['database']}; name the source otherwise"]
    if slot["held_by"] not in (None, slot["role"]):
        return [f"the slot {name} is in use by role {slot['held_by']}; name the source otherwise, or end its session"]
    return []


def _say(statement: str, *names: sql.Identifier) -> str:
    return sql.SQL(statement).format(*names).as_string(None) + ";"
