"""Erasing in caches: every key that a version of the row stands under is dropped."""

from contextlib import closing
from typing import Any

import psycopg
from clickhouse_connect.driver.client import Client
from psycopg import sql

from cdc.captured import Chosen
from cdc.catalog import Shape
from cdc.clickhouse import quote
from cdc.connect.connector import PLACEHOLDER
from cdc.errors import ConfigurationError
from cdc.invalidation.order import Orders
from cdc.invalidation.target import CacheTarget
from cdc.key_template import Template
from cdc.settings import CdcSettings
from cdc.sinks.clickhouse.raw_table import qualified
from cdc.verify import keys
from cdc.verify.checksum import Key


def drop(
    chosen: Chosen, shape: Shape, config: CdcSettings, source: psycopg.Connection[Any], target: Client, key: Key
) -> int:
    """Drop the cached values of the row, as each version of it in the copy and the source names them; how many keys.

    Raises:
        TransientError: Redis or the source does not answer.
    """
    text = chosen.file.invalidate.get(shape.qualified)
    if text is None:
        return 0
    if not config.redis_url:
        raise ConfigurationError(
            f"caches follow {shape.qualified}, and REDIS_URL is not set: set it to erase there, too"
        )
    template = Template.parse(text)
    columns = ", ".join(f"toString({quote(column)})" for column in template.columns)
    condition = keys.target_condition(shape, [key])
    copied = target.query(f"SELECT DISTINCT {columns} FROM {qualified(shape)} WHERE {condition}").result_rows
    present = source.execute(
        sql.SQL("SELECT {columns} FROM {table} WHERE {condition}").format(
            columns=sql.SQL(", ").join(sql.SQL("{}::text").format(sql.Identifier(name)) for name in template.columns),
            table=shape.rows,
            condition=keys.source_condition(shape, [key]),
        )
    ).fetchall()
    images = [dict(zip(template.columns, row, strict=True)) for row in (*copied, *present)]
    named = sorted(set(template.keys(images, PLACEHOLDER)))
    with closing(Orders(chosen.file, chosen.known)) as orders, closing(CacheTarget(config.redis_url)) as cache:
        cache.invalidate(named, orders.after(()))
    return len(named)
