"""Make or migrate Dagster's tables, as a program: three processes that make them at once trip over each other.

It makes the pools too: the first runs that ask for a pool that nobody knew yet are all let in at once.
"""

from dagster import DagsterInstance

from pipelines.lib.pools import POOLS


def main() -> None:
    """Bring the storage of the instance in DAGSTER_HOME to this version's tables, with the pools at the default limit."""
    with DagsterInstance.get() as instance:
        instance.upgrade()
        there = {pool.name for pool in instance.event_log_storage.get_pool_limits()}
        for pool in set(POOLS) - there:  # one that is there must not be made again
            instance.event_log_storage.initialize_concurrency_limit_to_default(pool)


if __name__ == "__main__":
    main()
