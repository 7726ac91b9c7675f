"""ClickHouse for assets, checks and sensors: queries that name who asked, in `log_comment` of system.query_log.

It reads only. What is written into the warehouse is written by dbt or by the sinks.
"""

import os
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import urlsplit

import clickhouse_connect
import dagster as dg
from pydantic import Field


class ClickHouse(dg.ConfigurableResource):  # type: ignore[type-arg]
    """One query at a time, with a connection of its own; errors are clickhouse-connect's."""

    url: str = Field(description="http://host:port of the server; the stack hands it over as CLICKHOUSE_URL")
    user: str = Field(description="reads raw tables and marts")
    password: str = Field(description="never part of the url, so that the url can be logged")

    def rows(self, query: str, parameters: Mapping[str, Any], comment: str) -> Sequence[Mapping[str, Any]]:
        """Rows of a SELECT by column name; `parameters` fill {name:Type} placeholders, `comment` says who asks (lib.attribution)."""
        address = urlsplit(self.url)
        with clickhouse_connect.get_client(
            host=address.hostname or "",
            port=address.port or 0,
            username=self.user,
            password=self.password,
            secure=address.scheme == "https",
            settings={"log_comment": comment},
        ) as client:
            return list(client.query(query, parameters=dict(parameters)).named_results())


RESOURCE = ClickHouse(url=dg.EnvVar("CLICKHOUSE_URL"), user="dbt", password=dg.EnvVar("CLICKHOUSE_DBT_PASSWORD"))


def of_the_environment() -> ClickHouse:
    """The same for a sensor, its address read now."""
    made: ClickHouse = RESOURCE.process_config_and_initialize()
    return made


def raw_prefix() -> str:
    """Prefix of the databases of raw tables; tests have another one beside the running shop."""
    return os.environ.get("MILLRACE_RAW_PREFIX", "raw_")
