"""The engine's settings, read once from the environment; a missing one is named with its meaning."""

from functools import lru_cache

from pydantic import Field, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict

from cdc.errors import ConfigurationError


class CdcSettings(BaseSettings):
    """Addresses and credentials of everything the engine talks to, one environment variable each."""

    model_config = SettingsConfigDict(frozen=True, extra="ignore")

    millrace_state_dsn: str = Field(description="PostgreSQL database that keeps the engine's own state")
    kafka_bootstrap: str = Field(description="host:port of a Kafka broker")
    connect_url: str = Field(description="address of Kafka Connect's REST interface")
    connect_secrets_file: str = Field(description="properties file that Connect reads source passwords from")
    clickhouse_url: str = Field(description="address of ClickHouse's HTTP interface")
    clickhouse_cdc_password: str = Field(description="password of the ClickHouse user `cdc`, who owns the raw tables")
    clickhouse_cluster: str = Field(
        default="", description="cluster that the raw tables are spread over, as the servers' configuration names it"
    )
    clickhouse_nodes: str = Field(
        default="", description="HTTP addresses of all servers of that cluster, separated by commas"
    )
    clickhouse_replicated: bool = Field(
        default=False, description="whether the raw tables of the cluster are replicated within each shard"
    )
    elasticsearch_url: str = Field(description="address of Elasticsearch")
    cdc_mask_key: str = Field(
        default="", repr=False, description="secret key of masks by hash; needed where there are some"
    )
    redis_url: str = Field(
        default="", description="address of the Redis that holds the caches; for `cdc.invalidation` only"
    )
    cdc_sources: str = Field(default="cdc/sources", description="folder of the source files (*.yaml)")
    cdc_topic_partitions: int = Field(
        default=4, ge=1, description="partitions of a table's topic: the most sinks at once"
    )
    cdc_topic_retention_hours: int = Field(
        default=168,
        ge=2,
        le=168,
        description="longest time that a change stays in Kafka; a sink may be away for six sevenths of it",
    )
    cdc_poll_milliseconds: int = Field(
        default=10,
        ge=1,
        le=10_000,
        description="how long a connector gathers changes before it hands them on: more costs latency and saves idle CPU",
    )
    cdc_page_token: str = Field(
        default="", description="what opens the status page; made anew at each start of it when not set"
    )
    cdc_processes: str = Field(
        default="", description="name=http://host:port,... of processes whose /readyz the status page asks"
    )


@lru_cache(maxsize=1)
def settings() -> CdcSettings:
    """The settings of this process.

    Raises:
        ConfigurationError: names each missing or wrong variable and what it is for.
    """
    try:
        return CdcSettings()
    except ValidationError as error:
        fields = CdcSettings.model_fields
        wrong = [
            f"{e['loc'][0]!s}".upper() + f" ({fields[str(e['loc'][0])].description}): {e['msg']}"
            for e in error.errors()
        ]
        raise ConfigurationError(
            "setting " + "; ".join(wrong) + "; `millrace env` prints those of a running stack"
        ) from None
