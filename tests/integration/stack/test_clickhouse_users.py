"""What each user of ClickHouse may not do, by name; on a server of the test's own with the stack's users."""

import os
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest

from stack import parts
from stack.processes import clickhouse_users
from stack.processes.clickhouse_users import (
    ANALYST_AT_ONCE,
    ANALYST_LIMITS,
    DASHBOARDS_AT_ONCE,
    HIDDEN_COLUMNS,
    HIDDEN_TABLES,
    READERS_OF_MARTS,
)
from tests.integration.cdc.waiting import eventually
from tests.integration.stack.own_clickhouse import OwnClickHouse, own_clickhouse

PORT = int(os.environ.get("MILLRACE_TEST_PORT_BASE", "24000")) + 900
DENIED = {"ACCESS_DENIED", "READONLY"}
LIBRARY = parts.clickhouse_binary() is None
TABLES = {
    "cdc": (
        "CREATE DATABASE raw_users",
        "CREATE TABLE raw_users.users (id Int32, email String) ENGINE = MergeTree ORDER BY id",
        "INSERT INTO raw_users.users VALUES (1, 'somebody')",
    ),
    "clickstream": (
        "CREATE TABLE raw_clickstream.events (id Int32) ENGINE = ReplacingMergeTree ORDER BY id",
        "CREATE TABLE raw_clickstream.parked (id Int32) ENGINE = ReplacingMergeTree ORDER BY id",
    ),
    "dbt": (
        *(
            f"CREATE TABLE analytics.{mart} (id Int32, {', '.join(f'{column} String' for column in columns)}) "
            "ENGINE = MergeTree ORDER BY id"
            for mart, columns in HIDDEN_COLUMNS.items()
        ),
        *(f"CREATE TABLE analytics.{table} (id Int32) ENGINE = MergeTree ORDER BY id" for table in HIDDEN_TABLES),
        "CREATE TABLE analytics.dim_a (id Int32) ENGINE = MergeTree ORDER BY id",
        "INSERT INTO analytics.dim_a VALUES (1), (2)",
        "CREATE TABLE analytics.dim_b (id Int32) ENGINE = MergeTree ORDER BY id",
        "INSERT INTO analytics.dim_b VALUES (1)",
        "CREATE TABLE analytics.rpt_search_queries_daily (normalized_query String, sessions UInt64) "
        "ENGINE = MergeTree ORDER BY sessions",
        "INSERT INTO analytics.rpt_search_queries_daily VALUES ('tent', 3), ('ada lovelace', 2)",
        "CREATE VIEW staging.stg_users__users AS SELECT * FROM raw_users.users",
    ),
}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[OwnClickHouse]:
    """The server, with a table of each kind made by the user who makes it in the stack."""
    with own_clickhouse(tmp_path_factory.mktemp("clickhouse") / "home", PORT) as own:
        for user, statements in TABLES.items():
            for statement in statements:
                assert own.ask(user, statement) == ""
        # the server makes it some time after its start; until then the answer is that there is no such table
        eventually(lambda: own.ask("dbt", "EXISTS TABLE system.query_log") == "1", "the log of queries is there")
        yield own


@pytest.mark.parametrize(
    "statement",
    [
        "SELECT * FROM raw_users.users",
        "SELECT * FROM staging.stg_users__users",
        "SELECT * FROM raw_clickstream.events",
        *(f"SELECT * FROM analytics.{table}" for table in HIDDEN_TABLES),
        "SELECT hasColumnInTable('raw_users', 'users', 'email')",
        "SELECT query FROM system.query_log",
        "SELECT name FROM system.users",
        "SELECT * FROM system.grants",
        "SELECT * FROM system.processes",
        "SELECT table_name FROM information_schema.tables",
        "SELECT * FROM url('http://127.0.0.1:1/', LineAsString)",
        "SELECT * FROM file('/etc/passwd', LineAsString)",
        pytest.param(
            "SELECT file('/etc/passwd')",
            marks=pytest.mark.xfail(
                LIBRARY, strict=True, reason="the library reads as clickhouse-local: docs/limits.md"
            ),
        ),
        "SELECT * FROM s3('http://127.0.0.1:1/bucket/key', 'LineAsString')",
        "SELECT * FROM postgresql('127.0.0.1:1', 'users', 'users', 'users', 'x')",
        "SELECT * FROM mysql('127.0.0.1:1', 'users', 'users', 'users', 'x')",
        "SELECT * FROM redis('127.0.0.1:1', 'key', 'key String')",
        "SELECT * FROM remote('127.0.0.1', 'raw_users', 'users')",
        "SELECT * FROM executable('id', 'TSV', 'a String')",
        "SELECT * FROM dictionary('raw_users.users')",
        "INSERT INTO analytics.dim_a VALUES (3)",
        "INSERT INTO FUNCTION file('out.tsv', TSV, 'a Int8') VALUES (1)",
        "CREATE TABLE analytics.mine (a Int8) ENGINE = Memory",
        "CREATE TEMPORARY TABLE mine (a Int8)",
        "CREATE VIEW analytics.mine AS SELECT 1",
        "CREATE DATABASE mine",
        "CREATE FUNCTION mine AS (a) -> a",
        "CREATE USER mine",
        "GRANT SELECT ON raw_users.* TO analyst",
        "ALTER TABLE analytics.dim_a DELETE WHERE 1",
        "TRUNCATE TABLE analytics.dim_a",
        "OPTIMIZE TABLE analytics.dim_a",
        "DROP TABLE analytics.dim_a",
        "RENAME TABLE analytics.dim_a TO analytics.dim_c",
        "BACKUP TABLE analytics.dim_a TO Disk('default', 'a')",
        "KILL QUERY WHERE user = 'dbt'",
        "SYSTEM FLUSH LOGS",
        "SYSTEM SHUTDOWN",
        "SET readonly = 0",
    ],
)
def test_an_analyst_is_refused(server: OwnClickHouse, statement: str) -> None:
    assert server.ask("analyst", statement) in DENIED


def test_an_analyst_sees_the_marts_and_nothing_beside_them(server: OwnClickHouse) -> None:
    marts = {*HIDDEN_COLUMNS, "dim_a", "dim_b", "rpt_search_queries_daily"}
    assert server.ask("analyst", "SHOW DATABASES") == "analytics"
    assert set(server.ask("analyst", "SHOW TABLES FROM analytics").split()) == marts
    assert set(server.ask("analyst", "SELECT name FROM system.tables WHERE database != 'system'").split()) == marts
    assert server.ask("analyst", "SELECT count() FROM system.columns WHERE database LIKE 'raw%'") == "0"
    assert server.ask("analyst", "SELECT sum(id) FROM analytics.dim_a") == "3"


@pytest.mark.parametrize(
    ("mart", "column"), [(mart, column) for mart in HIDDEN_COLUMNS for column in HIDDEN_COLUMNS[mart]]
)
def test_a_hidden_column_is_refused_and_the_others_are_read(server: OwnClickHouse, mart: str, column: str) -> None:
    assert server.ask("analyst", f"SELECT {column} FROM analytics.{mart}") == "ACCESS_DENIED"
    assert server.ask("analyst", f"SELECT id FROM analytics.{mart} WHERE {column} = 'x'") == "ACCESS_DENIED"
    assert server.ask("analyst", f"SELECT * FROM analytics.{mart}") == "ACCESS_DENIED"
    others = f"SELECT * EXCEPT ({', '.join(HIDDEN_COLUMNS[mart])}) FROM analytics.{mart}"
    assert server.ask("analyst", others) == ""
    assert server.ask("analyst", f"SELECT count() FROM analytics.{mart}") == "0"
    assert server.ask("reader", f"SELECT {column} FROM analytics.{mart}") == ""


def test_words_of_fewer_than_three_visits_are_hidden_from_analysts_and_dashboards_alone(server: OwnClickHouse) -> None:
    words = "SELECT normalized_query FROM analytics.rpt_search_queries_daily ORDER BY sessions DESC"
    for user in READERS_OF_MARTS:
        assert server.ask(user, words) == "tent"
    for user in ("reader", "dbt", "analytics"):
        assert server.ask(user, words).split("\n") == ["tent", "ada lovelace"]


@pytest.mark.parametrize("limit", ANALYST_LIMITS)
def test_a_limit_of_an_analyst_cannot_be_raised(server: OwnClickHouse, limit: str) -> None:
    more = f"SELECT 1 SETTINGS {limit} = {ANALYST_LIMITS[limit] + 1}"
    assert server.ask("analyst", more) == "SETTING_CONSTRAINT_VIOLATION"
    assert server.ask("analyst", f"SELECT getSetting('{limit}')") == str(ANALYST_LIMITS[limit])
    assert server.ask("analyst", f"SELECT 1 SETTINGS {limit} = {ANALYST_LIMITS[limit]}") == "1"


@pytest.mark.parametrize("limit", [limit for limit in ANALYST_LIMITS if limit != "max_threads"])
def test_zero_lifts_no_limit(server: OwnClickHouse, limit: str) -> None:
    """Zero is no limit, and below every maximum. Of threads it means as many as there are cores."""
    assert server.ask("analyst", f"SELECT 1 SETTINGS {limit} = 0") == "SETTING_CONSTRAINT_VIOLATION"


@pytest.mark.parametrize("setting", ["log_queries", "max_concurrent_queries_for_user"])
def test_what_an_analyst_may_not_set_at_all(server: OwnClickHouse, setting: str) -> None:
    assert server.ask("analyst", f"SELECT 1 SETTINGS {setting} = 0") == "SETTING_CONSTRAINT_VIOLATION"


def test_another_profile_lifts_no_limit(server: OwnClickHouse) -> None:
    server.ask("analyst", "SET profile = 'default'", session_id="other-profile")
    more = "SELECT 1 SETTINGS max_execution_time = 9999"
    assert server.ask("analyst", more, session_id="other-profile") == "SETTING_CONSTRAINT_VIOLATION"
    server.ask("analyst", "SELECT 1", profile="default", session_id="by-address")
    assert server.ask("analyst", more, session_id="by-address") == "SETTING_CONSTRAINT_VIOLATION"


def test_drivers_set_what_they_need(server: OwnClickHouse) -> None:
    with server.client("analyst", database="analytics", settings={"output_format_json_quote_64bit_integers": 0}) as it:
        assert it.query_df("SELECT id FROM dim_a ORDER BY id")["id"].to_list() == [1, 2]


def test_dashboards_ask_more_at_once_than_analysts_and_have_no_higher_limits(server: OwnClickHouse) -> None:
    at_once = "SELECT getSetting('max_concurrent_queries_for_user')"
    assert server.ask("dashboards", at_once) == str(DASHBOARDS_AT_ONCE)
    assert server.ask("analyst", at_once) == str(ANALYST_AT_ONCE)
    for limit, most in ANALYST_LIMITS.items():
        assert server.ask("dashboards", f"SELECT 1 SETTINGS {limit} = {most + 1}") == "SETTING_CONSTRAINT_VIOLATION"


def test_a_missed_join_is_null_for_analysts(server: OwnClickHouse) -> None:
    joined = "SELECT b.id FROM analytics.dim_a AS a LEFT JOIN analytics.dim_b AS b ON a.id = b.id WHERE a.id = 2"
    assert server.ask("analyst", joined) == r"\N"


@pytest.mark.parametrize(
    ("statement", "refusal"),
    [
        ("SELECT count() FROM numbers(600000000) WHERE NOT ignore(number)", "TOO_MANY_ROWS"),
        ("SELECT number FROM numbers(1000001) FORMAT Null", "TOO_MANY_ROWS_OR_BYTES"),
        (
            "SELECT repeat(toString(number), 100000) FROM numbers(100) SETTINGS max_result_bytes = 1000000",
            "TOO_MANY_ROWS_OR_BYTES",
        ),
        ("SELECT length(groupArray(repeat('x', 1000))) FROM numbers(2000000)", "MEMORY_LIMIT_EXCEEDED"),
        ("SELECT sleepEachRow(1) FROM numbers(3) SETTINGS max_execution_time = 1", "TIMEOUT_EXCEEDED"),
    ],
)
def test_a_question_that_is_too_large_is_ended(server: OwnClickHouse, statement: str, refusal: str) -> None:
    assert server.ask("analyst", statement) == refusal


def test_only_so_many_questions_of_analysts_run_at_once(server: OwnClickHouse) -> None:
    running = "SELECT count() FROM system.processes WHERE user = 'analyst'"
    with ThreadPoolExecutor(ANALYST_AT_ONCE) as pool:
        slow = [pool.submit(server.ask, "analyst", "SELECT sleep(2)") for _ in range(ANALYST_AT_ONCE)]
        deadline = time.monotonic() + 10
        while server.ask("reader", running) != str(ANALYST_AT_ONCE):
            assert time.monotonic() < deadline
        assert server.ask("analyst", "SELECT 1") == "TOO_MANY_SIMULTANEOUS_QUERIES"
        assert {each.result() for each in slow} == {"0"}
    assert server.ask("analyst", "SELECT 1") == "1"


def test_the_quota_ends_what_limits_do_not(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(clickhouse_users.ANALYST_QUOTA, "queries", 3)
    with own_clickhouse(tmp_path / "home", PORT + 40) as own:
        question = "SELECT count() >= 0 FROM system.tables"  # what reads no table is not counted
        answers = [own.ask("analyst", question) for _ in range(4)]
        assert answers == ["1", "1", "1", "QUOTA_EXCEEDED"]
        assert own.ask("reader", "SELECT 1") == "1"


@pytest.mark.parametrize("more", [{}, {"max_ast_elements": "1000"}, {"profile": "default"}])
@pytest.mark.parametrize(
    "statement", ["SELECT 1", "SELECT file('/etc/passwd')", "SHOW TABLES", "SET max_ast_elements = 9"]
)
def test_the_user_without_a_password_is_good_for_nothing_else(
    server: OwnClickHouse, statement: str, more: dict[str, str]
) -> None:
    url, nobody = server.variables["CLICKHOUSE_URL"], ("default", "")
    answer = httpx.post(url, content=statement, auth=nobody, params=more, trust_env=False)
    assert answer.is_error, answer.text


@pytest.mark.parametrize(
    ("user", "statement"),
    [
        ("dashboards", "SELECT * FROM raw_users.users"),
        ("dashboards", "SELECT * FROM staging.stg_users__users"),
        ("dashboards", "SELECT query FROM analytics.fct_searches"),
        ("dashboards", "SELECT * FROM analytics.mart_watermarks"),
        ("dashboards", "SELECT query FROM system.query_log"),
        ("dashboards", "SELECT * FROM url('http://127.0.0.1:1/', LineAsString)"),
        ("dashboards", "INSERT INTO analytics.dim_a VALUES (3)"),
        ("analytics", "SELECT * FROM raw_users.users"),
        ("analytics", "SELECT * FROM raw_clickstream.parked"),
        ("analytics", "SELECT query FROM system.query_log"),
        ("analytics", "SELECT * FROM url('http://127.0.0.1:1/', LineAsString)"),
        ("analytics", "SELECT 1 SETTINGS max_threads = 1"),
        ("analytics", "INSERT INTO analytics.dim_a VALUES (3)"),
        ("clickstream", "SELECT * FROM raw_users.users"),
        ("clickstream", "SELECT * FROM analytics.dim_a"),
        ("clickstream", "DROP TABLE raw_clickstream.events"),
        ("dbt", "INSERT INTO raw_users.users VALUES (2, 'x')"),
        ("dbt", "ALTER TABLE raw_users.users DELETE WHERE 1"),
        ("dbt", "CREATE DATABASE raw_mine"),
        ("dbt", "DROP TABLE raw_users.users"),
        ("dbt", "SELECT * FROM url('http://127.0.0.1:1/', LineAsString)"),
        ("dbt", "SELECT * FROM file('/etc/passwd', LineAsString)"),
        ("dbt", "SYSTEM SHUTDOWN"),
        ("cdc", "SELECT * FROM analytics.dim_a"),
        ("cdc", "INSERT INTO analytics.dim_a VALUES (3)"),
        ("cdc", "DROP DATABASE analytics"),
        ("cdc", "CREATE DATABASE mine"),
        ("cdc", "SELECT * FROM url('http://127.0.0.1:1/', LineAsString)"),
        ("cdc", "SELECT * FROM postgresql('127.0.0.1:1', 'users', 'users', 'users', 'x')"),
        ("cdc", "SYSTEM SHUTDOWN"),
        ("reader", "INSERT INTO analytics.dim_a VALUES (3)"),
        ("reader", "SELECT * FROM postgresql('127.0.0.1:1', 'users', 'users', 'users', 'x')"),
    ],
)
def test_a_programs_user_keeps_to_its_own(server: OwnClickHouse, user: str, statement: str) -> None:
    assert server.ask(user, statement) in DENIED
