"""The Debezium connector's configuration, from a source file; one place for every setting and its reason."""

import re
from collections.abc import Iterable

import orjson
from psycopg.conninfo import conninfo_to_dict

from cdc import source_database
from cdc.catalog import Shape
from cdc.connect.secrets import MASK_KEY
from cdc.kafka import retention
from cdc.settings import CdcSettings
from cdc.source_file import SourceFile

PLACEHOLDER = "__millrace_absent_7d0f4c1e9ab64b25b3f8d6a2c45e1f90__"
EPOCH_HEADER = "millrace.epoch"
OLD_KEY_HEADER = "__debezium.oldkey"


def connector_config(
    file: SourceFile, epoch: int, config: CdcSettings, shapes: Iterable[Shape], primary: tuple[str, int]
) -> dict[str, str]:
    """The configuration to PUT for this source and its captured tables, as Connect returns it (all values strings).

    ``primary`` is the address at which the source's primary was found: the DSN may name several servers.
    """
    dsn = conninfo_to_dict(file.conninfo)
    keys = {name: columns.key for name, columns in file.columns.items() if columns.key}
    declared_keys = {"message.key.columns": ";".join(_message_key(*key) for key in keys.items())} if keys else {}
    outbox = {"millrace.outbox": file.outbox} if file.outbox else {}
    masked = _masks(file, config, shapes)
    return (
        declared_keys
        | outbox
        | masked
        # of the topics that Connect makes by itself: those of an application's events
        | {
            f"topic.creation.default.{name}": value
            for name, value in retention(config.cdc_topic_retention_hours).items()
        }
        | {
            "connector.class": "millrace.PostgresSource",  # Debezium's, with positions between transactions only
            "tasks.max": "1",
            "database.hostname": primary[0],
            "database.port": str(primary[1]),
            "database.user": str(dsn["user"]),
            "database.password": _secret(config, f"{file.source}_password"),  # else the REST API shows it
            "database.dbname": str(dsn["dbname"]),
            "topic.prefix": file.source,
            "plugin.name": "pgoutput",
            "slot.name": file.slot,
            "publication.name": file.publication,
            "publication.autocreate.mode": "disabled",  # the publication is ours, and the only filter
            "snapshot.mode": "no_data",  # rows come by the backfill
            "skipped.operations": "none",  # truncates are skipped by default
            # PostgreSQL's own text for every type that Debezium would spell otherwise or lose; needs our jar beside Debezium's.
            "converters": "text",
            "text.type": "millrace.PostgresText",
            "text.absent": PLACEHOLDER,
            "include.unknown.datatypes": "true",  # else columns of types that Debezium does not know are left out silently
            "driver.options": source_database.SPELLING,
            "value.converter.replace.null.with.default": "false",  # else a NULL in a column with a DEFAULT becomes the default
            "key.converter.replace.null.with.default": "false",
            "unavailable.value.placeholder": PLACEHOLDER,
            "tombstones.on.delete": "false",
            "extended.headers.enabled": "false",  # four headers a record that nobody reads
            # An idle database must not hold WAL: a message of our own moves the slot, and needs no table in the source.
            "heartbeat.interval.ms": "5000",
            "heartbeat.action.query": "select pg_logical_emit_message(true, 'millrace.heartbeat', '')",
            "transforms": "epoch",
            "transforms.epoch.type": "org.apache.kafka.connect.transforms.InsertHeader",
            "transforms.epoch.header": EPOCH_HEADER,
            "transforms.epoch.value.literal": str(epoch),
            "poll.interval.ms": str(config.cdc_poll_milliseconds),
            "max.batch.size": "2048",
            "max.queue.size": "8192",
            "producer.override.linger.ms": "5",
            "producer.override.batch.size": "524288",
            "producer.override.compression.type": "lz4",
            "producer.override.acks": "all",
            "producer.override.enable.idempotence": "true",
            "key.converter": "org.apache.kafka.connect.json.JsonConverter",
            "key.converter.schemas.enable": "false",
            "value.converter": "org.apache.kafka.connect.json.JsonConverter",
            "value.converter.schemas.enable": "false",
            "topic.creation.default.replication.factor": "1",
            "topic.creation.default.partitions": str(config.cdc_topic_partitions),
            "topic.creation.default.compression.type": "producer",
        }
    )


def _masks(file: SourceFile, config: CdcSettings, shapes: Iterable[Shape]) -> dict[str, str]:
    """Every column of the tables of which some are masked: one that is not named here is not shown either."""
    tables = {
        shape.qualified: {column.name: column.mask or "clear" for column in shape.columns}
        for shape in shapes
        if any(column.mask for column in shape.columns)
    }
    masks = {"text.masks": orjson.dumps(tables, option=orjson.OPT_SORT_KEYS).decode()} if tables else {}
    # its name ends so that Debezium does not show the value when it logs what it starts with
    return masks | ({"text.key.password": _secret(config, MASK_KEY)} if file.hashes else {})


def _secret(config: CdcSettings, name: str) -> str:
    return f"${{file:{config.connect_secrets_file}:{name}}}"


def _message_key(table: str, columns: tuple[str, ...]) -> str:
    """Debezium's form: a regular expression for the table, then its columns; by them it notices that a key changes."""
    return f"{re.escape(table)}:{','.join(columns)}"
