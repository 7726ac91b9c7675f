"""Takes out what a table's copy, topic and dead letters hold of a column that is masked otherwise from now on.

The table is copied anew afterwards. Meanwhile its raw table is gone, then fills; the others flow, but for the moment in which the
connector stands still. A purge that is interrupted is in the next plan again: the table stays recorded, parked, until it is done.
"""

from contextlib import closing
from dataclasses import replace
from typing import Any

import psycopg
from clickhouse_connect.driver.client import Client

from cdc import dead_letters, failpoints
from cdc import state as engine_state
from cdc.backfill.append_only import staging_table
from cdc.connect.client import ConnectClient
from cdc.connect.plan import Plan
from cdc.kafka import Kafka
from cdc.settings import CdcSettings
from cdc.sinks.clickhouse import cluster, history, raw_table


def purge(plan: Plan, config: CdcSettings, state: psycopg.Connection[Any], kafka: Kafka, target: Client) -> None:
    """Purge the plan's tables; the connector is left stopped, with its new configuration.

    It is stopped first, so that it neither sends the old form of a value again nor makes the topic anew by itself.
    """
    for shape, reason in plan.purge.items():
        engine_state.park_table(state, shape, f"{reason}; `millrace cdc apply` goes on with it")
    with closing(ConnectClient(config.connect_url)) as connect:
        if connect.config(plan.file.source) is not None:
            connect.stop(plan.file.source)
        if plan.connector is not None:
            connect.put(plan.file.source, plan.connector)
            connect.stop(plan.file.source)
    kafka.delete_topics([shape.topic for shape in plan.purge])
    failpoints.hit("purge.topics-deleted")
    for shape in plan.purge:
        staged = raw_table.qualified(replace(shape, staged=True))
        cluster.drop(target, raw_table.qualified(shape), history.log_of(shape), staging_table(shape), staged)
        dead_letters.delete_all(state, shape.source, shape.qualified)
        engine_state.release_table(state, shape)
