"""Pools: runs that must not meet. Each has one place, and a run waits for it in the queue, before it takes a process.

Dagster counts runs in progress, so a run that died gives its place back when it is noticed. A build that is started by hand
(`python -m pipelines.run`) passes by the queue: for that one `lib.exclusive` holds the warehouse too.
"""

WAREHOUSE = "warehouse"
"""Writes marts: two dbt builds at once collide on the names of temporary tables."""
ENGINE = "engine"
"""Reads or rewrites whole copies: two proofs at once take twice as long, and a proof beside a reindex waits for it."""
POOLS = (WAREHOUSE, ENGINE)
