"""ClickHouse: the warehouse, with its users and limits in files (it re-reads them only at start).

Users: `cdc` and `dbt` may do everything, `reader` may read every database, `analyst` only the marts. There is no
user `default` that could do anything. Passwords stand in the file as hashes.
"""

import hashlib
import sys
from collections.abc import Mapping

from stack import health, parts
from stack.environment import HOST
from stack.ports import OFFSETS
from stack.process import Job, Node, Process
from stack.secrets import write_private
from stack.settings import Settings

DATABASES = ("analytics", "staging", "intermediate", "raw_millrace")
"""Made at start; databases of captured sources are made by who captures them."""

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

USERS = """<clickhouse>
  <profiles>
    <default>
      <max_threads>2</max_threads>
      <max_memory_usage>1500000000</max_memory_usage>
      <max_bytes_before_external_group_by>500000000</max_bytes_before_external_group_by>
      <max_bytes_before_external_sort>500000000</max_bytes_before_external_sort>
      <log_queries>1</log_queries>
    </default>
    <reader><profile>default</profile><readonly>2</readonly></reader>
    <analyst>
      <profile>reader</profile>
      <max_execution_time>60</max_execution_time>
      <constraints>
        <max_execution_time><max>60</max></max_execution_time>
        <max_memory_usage><max>1500000000</max></max_memory_usage>
        <max_threads><max>2</max></max_threads>
      </constraints>
    </analyst>
  </profiles>
  <quotas>
    <default/>
    <launch><interval><duration>315360000</duration><queries>2</queries></interval></launch>
  </quotas>
  <users>
{users}  </users>
</clickhouse>
"""

USER = """    <{name}><password_sha256_hex>{hash}</password_sha256_hex>
      <networks><ip>127.0.0.1</ip></networks><profile>{profile}</profile><quota>default</quota>{grants}</{name}>
"""

LAUNCHER = """    <default><password></password><networks><ip>127.0.0.1</ip></networks><profile>default</profile>
      <quota>launch</quota><grants><query>GRANT SYSTEM LISTEN ON *.*</query></grants></default>
"""
"""The library logs itself in as `default` without a password and cannot be told otherwise. So that user may only open
the listeners, and only as many times as the launcher needs: to anybody else it is useless."""

PROFILES = {"cdc": "default", "dbt": "default", "reader": "reader", "analyst": "analyst"}
GRANTS = {
    "reader": ("GRANT SHOW, SELECT, dictGet ON *.*",),
    "analyst": ("GRANT SHOW, SELECT ON analytics.*",),
}


def nodes(settings: Settings, secrets: Mapping[str, str], variables: Mapping[str, str]) -> list[Node]:
    """The server and the job that makes its databases."""
    folder = settings.home / "clickhouse"
    port, native = settings.port(OFFSETS["clickhouse"]), settings.port(OFFSETS["clickhouse-native"])
    credentials = ("cdc", secrets["clickhouse_cdc"])
    url = variables["CLICKHOUSE_URL"]
    binary = parts.clickhouse_binary()
    if binary is None:
        launcher = (sys.executable, "-m", "stack.clickhouse_library", str(parts.clickhouse().path))
        command: tuple[str, ...] = (*launcher, str(folder / "config.xml"))
    else:
        command = (str(binary), "server", f"--config-file={folder / 'config.xml'}")

    def prepare() -> None:
        for name in ("data/tmp", "data/user_files", "data/format_schemas", "logs", "backups"):
            (folder / name).mkdir(parents=True, exist_ok=True)
        write_private(folder / "config.xml", SERVER.format(folder=folder, host=HOST, http=port, native=native))
        write_private(folder / "users.xml", users_file(secrets, library=binary is None))

    def create_databases() -> None:
        for database in DATABASES:
            health.http(url, credentials=credentials, body=f"CREATE DATABASE IF NOT EXISTS {database}")()

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
        Job("warehouse", create_databases, needs=("clickhouse",), fingerprint=lambda: " ".join(DATABASES)),
    ]


def users_file(secrets: Mapping[str, str], *, library: bool) -> str:
    """users.xml for these passwords; the library needs a user to log itself in with."""
    users = LAUNCHER if library else ""
    for name, profile in PROFILES.items():
        queries = "".join(f"<query>{grant}</query>" for grant in GRANTS.get(name, ()))
        users += USER.format(
            name=name,
            hash=hashlib.sha256(secrets[f"clickhouse_{name}"].encode()).hexdigest(),
            profile=profile,
            grants=f"<grants>{queries}</grants>" if queries else "",
        )
    return USERS.format(users=users)
