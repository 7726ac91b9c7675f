"""ClickHouse: the warehouse. Its users are in clickhouse_users.py."""

import sys
from collections.abc import Mapping

from stack import health, parts
from stack.environment import HOST
from stack.ports import OFFSETS
from stack.process import Job, Node, Process
from stack.processes.clickhouse_users import users_file
from stack.secrets import write_private
from stack.settings import Settings

DATABASES = {"dbt": ("analytics", "staging", "intermediate"), "cdc": ("raw_millrace", "raw_clickstream")}
"""Made at start, by who writes them; databases of captured sources are made by who captures them."""

SERVER = """<clickhouse>
  <logger><level>information</level><console>0</console><log>{folder}/logs/server.log</log>
    <errorlog>{folder}/logs/error.log</errorlog><size>20M</size><count>2</count></logger>
  <listen_host>{host}</listen_host>
  <http_port>{http}</http_port>
  <tcp_port>{native}</tcp_port>
  <path>{folder}/data/</path>
  <tmp_path>{folder}/data/tmp/</tmp_path>
  <user_files_path>{folder}/data/user_files/</user_files_path>
  <format_schema_path>{folder}/data/format_schemas/</format_schema_path>
  <users_config>{folder}/users.xml</users_config>
  <default_profile>default</default_profile>
  <timezone>UTC</timezone>
  <max_server_memory_usage>2500000000</max_server_memory_usage>
  <max_concurrent_queries>100</max_concurrent_queries>
  <access_control_improvements>
    <users_without_row_policies_can_read_rows>true</users_without_row_policies_can_read_rows>
    <select_from_system_db_requires_grant>true</select_from_system_db_requires_grant>
    <select_from_information_schema_requires_grant>true</select_from_information_schema_requires_grant>
    <table_engines_require_grant>true</table_engines_require_grant>
  </access_control_improvements>
  <mark_cache_size>134217728</mark_cache_size>
  <uncompressed_cache_size>0</uncompressed_cache_size>
  <backups><allowed_path>{folder}/backups/</allowed_path></backups>
  <query_log>
    <database>system</database><table>query_log</table>
    <engine>ENGINE = MergeTree PARTITION BY event_date ORDER BY event_time TTL event_date + INTERVAL 14 DAY</engine>
    <flush_interval_milliseconds>2000</flush_interval_milliseconds>
  </query_log>
</clickhouse>
"""


def nodes(settings: Settings, secrets: Mapping[str, str], variables: Mapping[str, str]) -> list[Node]:
    """The server and the job that makes its databases."""
    folder = settings.home / "clickhouse"
    port, native = settings.port(OFFSETS["clickhouse"]), settings.port(OFFSETS["clickhouse-native"])
    credentials = ("cdc", secrets["clickhouse_cdc"])
    url = variables["CLICKHOUSE_URL"]
    binary = parts.clickhouse_binary()
    if binary is None:
        launcher = (sys.executable, "-m", "stack.clickhouse_library", str(parts.clickhouse().path))
        command: tuple[str, ...] = (*launcher, str(folder / "config.xml"), str(folder / "data"))
    else:
        command = (str(binary), "server", f"--config-file={folder / 'config.xml'}")

    def prepare() -> None:
        for name in ("data/tmp", "data/user_files", "data/format_schemas", "logs", "backups"):
            (folder / name).mkdir(parents=True, exist_ok=True)
        write_private(folder / "config.xml", SERVER.format(folder=folder, host=HOST, http=port, native=native))
        write_private(folder / "users.xml", users_file(secrets, library=binary is None))

    def create_databases() -> None:
        for user, databases in DATABASES.items():
            for database in databases:
                made = f"CREATE DATABASE IF NOT EXISTS {database}"
                health.http(url, credentials=(user, secrets[f"clickhouse_{user}"]), body=made)()

    return [
        Process(
            name="clickhouse",
            command=command,
            health=health.http(url, credentials=credentials, body="SELECT 'ready'", contains="ready"),
            ports=(port, native),
            then=("warehouse",),
            parts=(parts.clickhouse(),),
            prepare=prepare,
            stop_seconds=30,
        ),
        Job("warehouse", create_databases, needs=("clickhouse",), fingerprint=lambda: str(DATABASES)),
    ]
