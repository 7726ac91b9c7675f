"""The cache of three levels: one load for many, nothing stale over what is newer, and life without Redis."""

import asyncio
import subprocess
import sys

import psycopg
import pytest
from redis.exceptions import RedisError

from cdc.invalidation.order import ORDER
from services.kit.cache import AT_ONCE, SNAPSHOT_ORDER, Lifetimes
from services.kit.cache_shared import Entry, Shared
from stack.settings import ROOT
from tests.conftest import Stack
from tests.integration.cache.conftest import LONG, Bench, until

FLEETING = Lifetimes(near=(0.0, 0.0))
"""Every read asks L2."""


def test_two_hundred_callers_in_two_processes_make_one_load(bench: Bench) -> None:
    command = [sys.executable, "-m", "tests.integration.cache.callers", bench.url, bench.prefix, "100", "2"]
    callers = [subprocess.Popen(command, cwd=ROOT) for _ in range(2)]
    assert [process.wait(60) for process in callers] == [0, 0]

    async def loads() -> object:
        async with bench.shared() as (_, redis):
            return await redis.get(f"{bench.prefix}loads")

    assert asyncio.run(loads()) == b"1"


def test_a_value_is_loaded_once_and_so_is_its_absence(bench: Bench) -> None:
    async def main() -> None:
        bench.origin.rows["a"] = (7, b"apple")
        async with bench.cache() as one, bench.cache() as other:
            for cache in (one, other, one):
                assert await cache.get("a") == "apple"
                assert await cache.get("b") is None
        async with bench.shared() as (shared, redis):
            assert await shared.read("a") is not None
            assert 3240 <= await redis.ttl(f"{bench.prefix}a") <= 3960
            assert 25 <= await redis.ttl(f"{bench.prefix}b") <= 30

    asyncio.run(main())
    assert bench.origin.loads == 2


def test_an_older_version_is_refused_over_a_newer_one_and_below_a_floor(bench: Bench) -> None:
    async def main() -> None:
        async with bench.shared() as (shared, _):

            def entry(version: int) -> Entry:
                return Entry(version, b"%d" % version, 2**32, 0.001)

            async def held() -> bytes | None:
                found = await shared.read("k")
                return None if found is None else found.body

            assert await shared.store("k", entry(10), None)
            assert not await shared.store("k", entry(9), None)
            assert await held() == b"10"
            await bench.invalidate("k", 10)  # what the value was read by shows the change already
            assert await held() == b"10"
            await bench.invalidate("k", 11)
            assert await held() is None
            assert not await shared.store("k", entry(10), None)
            await bench.invalidate("k", 5)  # late news lowers no floor
            assert not await shared.store("k", entry(10), None)
            assert await shared.store("k", entry(11), None)
            await asyncio.to_thread(bench.target.sweep, bench.prefix, 20)
            assert await held() is None
            assert not await shared.store("other", entry(19), None)
            assert await shared.store("other", entry(20), None)

    asyncio.run(main())


def test_a_load_that_a_change_overtakes_is_made_again_and_kept_nowhere(bench: Bench) -> None:
    async def main() -> None:
        origin = bench.origin
        async with bench.cache() as cache:
            origin.rows["a"], origin.held = (5, b"old"), asyncio.Event()
            overtaken = asyncio.create_task(cache.get("a"))
            await until(lambda: origin.loads == 1)
            origin.rows["a"] = (6, b"new")
            await bench.invalidate("a", 6)
            origin.held.set()
            assert await overtaken == "new"
            origin.held = None
            assert await cache.get("a") == "new"

    asyncio.run(main())


def test_news_drops_what_a_process_keeps(bench: Bench) -> None:
    async def main() -> None:
        async with bench.cache() as cache:
            bench.origin.rows["a"] = (5, b"old")
            assert await cache.get("a") == "old"
            bench.origin.rows["a"] = (6, b"new")
            assert await cache.get("a") == "old"
            await bench.invalidate("a", 6)
            async with asyncio.timeout(10):
                while await cache.get("a") != "new":
                    await asyncio.sleep(0.005)

    asyncio.run(main())


def test_a_subscription_that_broke_empties_what_a_process_keeps(bench: Bench) -> None:
    async def main() -> None:
        async with bench.cache() as cache, bench.shared() as (shared, redis):
            bench.origin.rows["a"] = (5, b"old")
            assert await cache.get("a") == "old"
            assert await shared.store("a", Entry(6, b"new", 2**32, 0.001), None)  # nobody is told
            assert await cache.get("a") == "old"
            await redis.client_kill_filter(_type="pubsub")
            async with asyncio.timeout(10):
                while await cache.get("a") != "new":
                    await asyncio.sleep(0.005)

    asyncio.run(main())


def test_lost_news_is_over_with_the_seconds_of_level_one(bench: Bench) -> None:
    async def main() -> None:
        async with bench.cache(Lifetimes(near=(0.05, 0.1)), following=False) as cache:
            bench.origin.rows["a"] = (5, b"old")
            assert await cache.get("a") == "old"
            bench.origin.rows["a"] = (6, b"new")
            await bench.invalidate("a", 6)
            async with asyncio.timeout(10):
                while await cache.get("a") != "new":
                    await asyncio.sleep(0.01)

    asyncio.run(main())


def test_a_waiter_that_outlives_the_lock_reads_for_itself(bench: Bench) -> None:
    async def main() -> None:
        bench.origin.rows["a"] = (5, b"apple")
        async with bench.shared() as (shared, _), bench.cache(Lifetimes(lock=0.3)) as cache:
            assert await shared.lock("a", 60) is not None  # by one that has died since
            assert await cache.get("a") == "apple"

    asyncio.run(main())
    assert bench.origin.loads == 1


def test_a_failed_load_is_told_and_lets_go_of_the_lock(bench: Bench) -> None:
    async def main() -> None:
        async with bench.shared() as (shared, _), bench.cache() as cache:
            load, cache._filling._load = cache._filling._load, _failing
            with pytest.raises(psycopg.OperationalError):
                await cache.get("a")
            cache._filling._load = load
            async with asyncio.timeout(2):  # the lock would be held for three seconds
                while (token := await shared.lock("a", 1)) is None:
                    await asyncio.sleep(0.01)
            await shared.unlock("a", token)
            assert await cache.get("a") is None

    asyncio.run(main())


async def _failing(_: str) -> tuple[int, bytes | None]:
    raise psycopg.OperationalError("the database is away")


def test_an_entry_is_loaded_anew_before_it_expires(bench: Bench) -> None:
    async def main() -> None:
        bench.origin.rows["a"] = (6, b"new")
        async with bench.shared() as (shared, redis), bench.cache(FLEETING) as cache:
            soon = 5 + (await redis.time())[0]
            assert await shared.store("a", Entry(5, b"old", soon, 100), None)  # a load of 100 s: high time
            seen = [await cache.get("a")]
            async with asyncio.timeout(4):
                while seen[-1] == "old":
                    seen.append(await cache.get("a"))
        assert seen[0] == "old"

    asyncio.run(main())
    assert bench.origin.loads == 1


def test_without_redis_reads_go_to_the_database_a_few_at_a_time_and_come_back(bench: Bench, stack: Stack) -> None:
    async def main() -> None:
        origin = bench.origin
        async with bench.cache(FLEETING) as cache, bench.shared() as (shared, _):
            with stack.frozen("redis"):
                origin.rows, origin.held = {str(n): (5, b"%d" % n) for n in range(50)}, asyncio.Event()
                reading = [asyncio.create_task(cache.get(str(n))) for n in range(50)]
                await until(lambda: origin.at_once == AT_ONCE)
                origin.held.set()
                assert await asyncio.gather(*reading) == [str(n) for n in range(50)]
                assert origin.most_at_once == AT_ONCE
            async with asyncio.timeout(10):
                while not await _held(shared, "1"):
                    await cache.get("1")
            loads = origin.loads
            assert await cache.get("1") == "1"
            assert origin.loads == loads

    asyncio.run(main())


async def _held(shared: Shared, key: str) -> bool:
    try:
        return await shared.read(key) is not None
    except RedisError:
        await asyncio.sleep(0.05)
        return False


def test_both_sides_order_snapshots_alike_and_commits_raise_the_order(stack: Stack) -> None:
    dsn = stack.env["PRODUCTS_DSN"]
    with psycopg.connect(dsn, autocommit=True) as reader, psycopg.connect(dsn) as older, psycopg.connect(dsn) as newer:

        def order() -> int:
            [(ours,)] = reader.execute(f"SELECT {SNAPSHOT_ORDER}").fetchall()
            [(theirs,)] = reader.execute(ORDER).fetchall()
            assert theirs >= ours  # of a later snapshot, in which other sessions may have ended something
            return int(ours)

        for connection in (older, newer):
            connection.execute("SELECT pg_current_xact_id()")
        orders = [order()]
        for connection in (newer, older):  # the older transaction ends last: the upper bound stands still
            connection.commit()
            orders.append(order())
        assert orders == sorted(set(orders))


def test_what_is_not_ours_under_a_key_is_a_miss_and_is_replaced(bench: Bench) -> None:
    async def main() -> None:
        bench.origin.rows["a"] = (5, b"apple")
        async with bench.shared() as (shared, redis), bench.cache(LONG) as cache:
            await redis.set(f"{bench.prefix}a", b"somebody else's")
            assert await cache.get("a") == "apple"
            found = await shared.read("a")
            assert found is not None and found.body == b"apple"

    asyncio.run(main())
