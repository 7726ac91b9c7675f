"""People who asked to be forgotten: what the copies still hold of them is taken out of their files at once.

The users service overwrites the row and deletes the addresses; the copies follow within the second, but older versions stay
in the raw tables' files until ClickHouse merges them, and in dead letters and caches. `millrace cdc erase` takes them out
and remembers the keys, so that Kafka does not bring them back. The request is the column `erased_at` of the copy itself.
"""

import json
from collections.abc import Iterable
from uuid import UUID

import dagster as dg
from pydantic import Field

from pipelines.lib.attribution import comment, comment_of
from pipelines.lib.clickhouse import ClickHouse, of_the_environment, raw_prefix
from pipelines.lib.commands import millrace
from pipelines.lib.failures import typed_failures
from pipelines.lib.pools import ENGINE

EVERY = 300
REMEMBERED_DAYS = 8
"""Longer than a topic holds a change: whoever was erased before that is nowhere any more."""
AT_ONCE = 100

ERASED = """
SELECT toString(id) AS id, toUnixTimestamp(erased_at) AS at FROM {database}.users FINAL
WHERE erased_at > now() - INTERVAL {{days:UInt32}} DAY ORDER BY erased_at, id
"""
ADDRESSES = (
    "SELECT DISTINCT toString(id) AS id FROM {database}.addresses WHERE user_id IN {{users:Array(UUID)}} ORDER BY id"
)


class Erasure(dg.Config):
    """Whom to forget."""

    users: list[str] = Field(default=[], description="ids of erased users; none: all of the last eight days")


@dg.op(pool=ENGINE)
def erase_from_copies(context: dg.OpExecutionContext, config: Erasure, clickhouse: ClickHouse) -> None:
    """Erases the users and every address that any version of a copy says was theirs; to do it again does no harm."""
    with typed_failures(context):
        users = [str(UUID(user)) for user in config.users] or sorted(erased(clickhouse, comment_of(context)))
        query = ADDRESSES.format(database=f"{raw_prefix()}users")
        addresses = clickhouse.rows(query, {"users": users}, comment_of(context))
        for table, keys in (("addresses", [row["id"] for row in addresses]), ("users", users)):
            for key in keys:
                millrace(context, "cdc", "erase", "users", table, key)


def erased(clickhouse: ClickHouse, asks: str) -> dict[str, int]:
    """Users who were erased of late, and when (seconds since 1970)."""
    query = ERASED.format(database=f"{raw_prefix()}users")
    return {row["id"]: int(row["at"]) for row in clickhouse.rows(query, {"days": REMEMBERED_DAYS}, asks)}


@dg.job(description="Takes erased people out of the copies' files.", executor_def=dg.in_process_executor)
def erasure_requests() -> None:
    erase_from_copies()


def still_asked(cursor: str | None, found: dict[str, int]) -> tuple[list[str], str]:
    """Users nobody was asked to erase yet, at most a run's worth, and the cursor with them; it forgets with the copies."""
    asked = set(json.loads(cursor or "[]")) & found.keys()
    new = [user for user in found if user not in asked][:AT_ONCE]
    return new, written(asked | set(new))


def written(users: Iterable[str]) -> str:
    """The cursor of these users."""
    return json.dumps(sorted(users))


@dg.sensor(
    job_name=erasure_requests.name,
    minimum_interval_seconds=EVERY,
    description="Has whoever was erased taken out of the copies.",
)
def people_erased(context: dg.SensorEvaluationContext) -> dg.RunRequest | dg.SkipReason:
    new, cursor = still_asked(context.cursor, erased(of_the_environment(), comment("people_erased", "sensor")))
    context.update_cursor(cursor)
    if not new:
        return dg.SkipReason("nobody new was erased")
    return dg.RunRequest(
        run_key=f"{new[0]}-{len(new)}", run_config={"ops": {"erase_from_copies": {"config": {"users": new}}}}
    )
