"""Whether a promotion of a standby would lose the source's slot, as far as its primary can tell: one line that says what to set.

What is set on a standby its primary does not see; it sees who keeps slots in step (a session of the standby's own) and whether the
standby tells which rows it still needs.
"""

from typing import Any

import psycopg

from cdc.slots import FAILOVER
from cdc.source_file import SourceFile

_STANDBYS = """
SELECT slot_name::text, xmin IS NOT NULL FROM pg_replication_slots
WHERE slot_type = 'physical' AND active AND NOT temporary ORDER BY slot_name
"""

# Who keeps slots in step calls itself so, or by the name that primary_conninfo gives to all sessions of its standby.
_SYNCING = """
WITH sender AS (SELECT r.pid, r.application_name FROM pg_stat_replication r JOIN pg_replication_slots s ON s.active_pid = r.pid
                WHERE s.slot_type = 'physical')
SELECT count(*) FROM pg_stat_activity
WHERE pid NOT IN (SELECT pid FROM sender)
  AND (application_name LIKE '%slotsync worker' OR application_name IN (SELECT application_name FROM sender))
"""


def failover_warnings(file: SourceFile, source: psycopg.Connection[Any]) -> tuple[str, ...]:
    """What the server and its standbys could do, and are not set to; nothing where no standby streams, or none of it is known."""
    if source.info.server_version < FAILOVER:
        return ()
    standbys = dict(source.execute(_STANDBYS).fetchall())
    if not standbys:
        return ()
    lacks = []
    if unnamed := _unnamed(source, standbys):
        lacks.append(f"synchronized_standby_slots = '{', '.join(unnamed)}' on the primary")
    [syncing] = source.execute(_SYNCING).fetchone() or (0,)
    if not syncing:
        lacks.append("sync_replication_slots = on, with a dbname in primary_conninfo, on the standby")
    if silent := [name for name, feedback in standbys.items() if not feedback]:
        lacks.append(f"hot_standby_feedback = on on the standby of {', '.join(silent)}")
    if not lacks:
        return ()
    return (f"a promotion would lose the slot {file.slot}, or changes that were read already; set {'; '.join(lacks)}",)


def _unnamed(source: psycopg.Connection[Any], standbys: dict[str, bool]) -> list[str]:
    """The standbys' slots, where none is waited for; one that is named is enough for a promotion of it."""
    row = source.execute("SELECT current_setting('synchronized_standby_slots')").fetchone()
    named = {name.strip().strip('"') for name in str(row[0] if row else "").split(",")}
    return [] if named & standbys.keys() else list(standbys)
