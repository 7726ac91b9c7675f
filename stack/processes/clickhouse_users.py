"""ClickHouse's users, each with the least that its work needs; it reads them only when it starts.

`cdc` writes the raw databases and nothing else, `dbt` reads them and writes the marts' databases. `reader` may read every
database and is for whoever runs the platform. `analyst` reads the marts, within limits that no setting lifts, without
what people typed and without the name of whoever visited (docs/analysts.md). `dashboards` is what Superset draws its charts
by: it reads what analysts read, within a quota of its own, so that an open page takes nothing of theirs. `analytics` is the
service of that name: it reads marts and clickstream, within limits that no question of its can exceed. `clickstream` loads
the shop's events.
There is no user `default` that could do anything. Passwords stand in the file as hashes.
"""

import hashlib
from collections.abc import Mapping

ANALYST_LIMITS = {
    "max_execution_time": 60,
    "max_rows_to_read": 500_000_000,
    "max_result_rows": 1_000_000,
    "max_result_bytes": 500_000_000,
    "max_memory_usage": 1_000_000_000,
    "max_threads": 2,
}
"""Of one question (seconds, rows, bytes, threads). An analyst may ask for less; zero, which means no limit, is not less."""

ANALYST_AT_ONCE = 4
"""Questions of all analysts at the same time."""

ANALYST_QUOTA = {"queries": 5_000, "read_rows": 20_000_000_000, "execution_time": 1_800}
"""What all analysts together may use in an hour (questions, rows, seconds)."""

DASHBOARDS_AT_ONCE = 16
"""Charts that are asked for at the same time; a page of ten asks for all of them at once."""

DASHBOARDS_QUOTA = {"queries": 20_000, "read_rows": 20_000_000_000, "execution_time": 3_600}
"""What all dashboards together may use in an hour (questions, rows, seconds)."""

HIDDEN_TABLES = ("mart_windows", "mart_watermarks", "mart_test_results")
"""What dbt notes about its own work beside the marts."""

HIDDEN_COLUMNS = {
    "fct_searches": ("query", "normalized_query", "customer_id"),
    "fct_search_clicks": ("customer_id",),
    "fct_sessions": ("customer_id",),
    "fct_cart_events": ("customer_id",),
    "fct_refunds": ("reason",),
}
"""What people typed, and who it was that looked around: events outlive the erasure of a customer."""

HIDDEN_ROWS = {"rpt_search_queries_daily": "sessions >= 3"}
"""Words that hardly anybody else searched for may be a name or an address."""

USERS = """<clickhouse>
  <profiles>
    <default>
      <max_threads>2</max_threads>
      <max_memory_usage>1500000000</max_memory_usage>
      <max_bytes_before_external_group_by>500000000</max_bytes_before_external_group_by>
      <max_bytes_before_external_sort>500000000</max_bytes_before_external_sort>
      <log_queries>1</log_queries>
    </default>
    <launch>
      <profile>default</profile>
      <max_ast_elements>1</max_ast_elements>
      <constraints><max_ast_elements><readonly/></max_ast_elements></constraints>
    </launch>
    <reader><profile>default</profile><readonly>2</readonly></reader>
    <analyst>
      <profile>reader</profile>
      <join_use_nulls>1</join_use_nulls>
      <max_concurrent_queries_for_user>{at_once}</max_concurrent_queries_for_user>
{limits}      <constraints>
        <log_queries><readonly/></log_queries>
        <max_concurrent_queries_for_user><readonly/></max_concurrent_queries_for_user>
{constraints}      </constraints>
    </analyst>
    <dashboards>
      <profile>analyst</profile>
      <max_concurrent_queries_for_user>{dashboards_at_once}</max_concurrent_queries_for_user>
    </dashboards>
    <analytics>
      <profile>default</profile>
      <readonly>1</readonly>
      <max_execution_time>10</max_execution_time>
      <max_rows_to_read>50000000</max_rows_to_read>
      <max_memory_usage>500000000</max_memory_usage>
      <max_result_rows>100000</max_result_rows>
      <max_concurrent_queries_for_user>8</max_concurrent_queries_for_user>
    </analytics>
  </profiles>
  <quotas>
    <default/>
    <analyst><interval><duration>3600</duration>{quota}</interval></analyst>
    <dashboards><interval><duration>3600</duration>{dashboards_quota}</interval></dashboards>
    <launch><interval><duration>315360000</duration><queries>2</queries></interval></launch>
  </quotas>
  <users>
{users}  </users>
</clickhouse>
"""

USER = """    <{name}><password_sha256_hex>{hash}</password_sha256_hex>
      <networks><ip>127.0.0.1</ip></networks><profile>{profile}</profile><quota>{quota}</quota>
      <grants>{grants}</grants>{policies}</{name}>
"""

LAUNCHER = """    <default><password></password><networks><ip>127.0.0.1</ip></networks><profile>launch</profile>
      <quota>launch</quota><grants><query>GRANT SYSTEM LISTEN ON *.*</query></grants></default>
"""
"""The library logs itself in as `default` without a password and cannot be told otherwise. So that user may only open
the listeners, and only as many times as the launcher needs. A quota counts only what reads a table, so no statement of more
than one word of syntax is taken from it either: to anybody else it is useless."""

_WRITE = (
    "SHOW, SELECT, INSERT, ALTER, CREATE DATABASE, CREATE TABLE, CREATE VIEW, DROP DATABASE, DROP TABLE, DROP VIEW, "
    "TRUNCATE, OPTIMIZE, SYSTEM MERGES"
)
_ENGINES = ("GRANT TABLE ENGINE ON MergeTree", "GRANT TABLE ENGINE ON ReplacingMergeTree")

PROFILES = {
    "cdc": "default",
    "dbt": "default",
    "clickstream": "default",
    "reader": "reader",
    "analyst": "analyst",
    "dashboards": "dashboards",
    "analytics": "analytics",
}
READERS_OF_MARTS = ("analyst", "dashboards")
"""Who sees the marts without what is hidden in them; each has a quota of its name."""

_MARTS = (
    "GRANT SHOW, SELECT ON analytics.*",
    *(f"REVOKE SHOW, SELECT ON analytics.{table}" for table in HIDDEN_TABLES),
    *(f"REVOKE SELECT({', '.join(columns)}) ON analytics.{mart}" for mart, columns in HIDDEN_COLUMNS.items()),
)
GRANTS = {
    "cdc": (
        f"GRANT {_WRITE} ON raw_*.*",
        "GRANT SELECT ON system.*",
        "GRANT CREATE TEMPORARY TABLE ON *.*",  # input() in its inserts
        *_ENGINES,
        "GRANT TABLE ENGINE ON Distributed",  # tables of a cluster (docs/cdc.md)
        "GRANT KAFKA ON *.*",  # the bench measures the sink beside ClickHouse's own reader
        "GRANT TABLE ENGINE ON Kafka",
    ),
    "dbt": (
        *(f"GRANT {_WRITE} ON {target}.*" for target in ("analytics*", "staging", "intermediate", "test_*")),
        "GRANT SHOW, SELECT ON raw_*.*",
        "GRANT SELECT ON system.*",
        "GRANT CREATE TEMPORARY TABLE ON *.*",
        *_ENGINES,
        "GRANT TABLE ENGINE ON Memory",  # rows of its unit tests
    ),
    "reader": ("GRANT SHOW, SELECT, dictGet ON *.*",),
    **dict.fromkeys(READERS_OF_MARTS, _MARTS),
    "analytics": ("GRANT SELECT ON analytics.*", "GRANT SELECT ON raw_clickstream.events"),
    "clickstream": (
        "GRANT SELECT, INSERT, CREATE TABLE ON raw_clickstream.*",
        "GRANT TABLE ENGINE ON ReplacingMergeTree",
    ),
}


def users_file(secrets: Mapping[str, str], *, library: bool) -> str:
    """users.xml for these passwords; the library needs a user to log itself in with."""
    users = LAUNCHER if library else ""
    for name, profile in PROFILES.items():
        users += USER.format(
            name=name,
            hash=hashlib.sha256(secrets[f"clickhouse_{name}"].encode()).hexdigest(),
            profile=profile,
            quota=name if name in READERS_OF_MARTS else "default",
            grants="".join(f"<query>{grant}</query>" for grant in GRANTS[name]),
            policies=_policies() if name in READERS_OF_MARTS else "",
        )
    return USERS.format(
        users=users,
        at_once=ANALYST_AT_ONCE,
        dashboards_at_once=DASHBOARDS_AT_ONCE,
        limits="".join(f"      <{name}>{most}</{name}>\n" for name, most in ANALYST_LIMITS.items()),
        constraints="".join(
            f"        <{name}><min>1</min><max>{most}</max></{name}>\n" for name, most in ANALYST_LIMITS.items()
        ),
        quota=_quota(ANALYST_QUOTA),
        dashboards_quota=_quota(DASHBOARDS_QUOTA),
    )


def _quota(most: Mapping[str, int]) -> str:
    return "".join(f"<{name}>{value}</{name}>" for name, value in most.items())


def _policies() -> str:
    """Which rows of a mart an analyst or a dashboard sees."""
    filters = "".join(
        f"<{mart}><filter>{condition.replace('>', '&gt;')}</filter></{mart}>" for mart, condition in HIDDEN_ROWS.items()
    )
    return f"<databases><analytics>{filters}</analytics></databases>"
