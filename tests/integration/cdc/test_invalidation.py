"""Caches follow changes: keys of both images go, a prefix goes where changes are missing, and the shop's answer is new."""

import threading
import uuid
from collections.abc import Iterator
from contextlib import closing, contextmanager

import httpx
import psycopg
import pytest
from confluent_kafka import TopicPartition
from confluent_kafka.admin import AdminClient
from redis import Redis

from bench.source import ThrowAwaySource
from bench.topics import size, wait_for_size
from cdc.errors import ConfigurationError
from cdc.invalidation.consumer import Invalidation
from cdc.invalidation.target import CacheTarget
from cdc.kafka import Kafka
from cdc.settings import settings
from cdc.sinks import positions
from services.kit.token_source import TokenSource
from tests.conftest import Stack
from tests.integration.cdc.conftest import MakeSource, run, until

ITEMS = """
CREATE TABLE public.items (id int PRIMARY KEY, code text, price int NOT NULL);
ALTER TABLE public.items REPLICA IDENTITY FULL;
INSERT INTO public.items VALUES (1, 'a', 10), (2, 'b', 20), (3, NULL, 30);
"""
OLD, NEWER = b"%020d" % 1, b"%020d" % 10**18


@pytest.fixture
def redis(stack: Stack) -> Iterator[Redis]:
    with closing(Redis.from_url(stack.env["REDIS_URL"])) as client:
        yield client


def invalidated(make_source: MakeSource) -> tuple[ThrowAwaySource, str]:
    """A source whose rows stand in keys of a prefix of their own."""
    prefix = f"items-{uuid.uuid4().hex}:"
    return make_source(ITEMS, rest=f"invalidate: {{public.items: '{prefix}{{code}}'}}"), prefix


def followed(source: ThrowAwaySource, redis: Redis, prefix: str) -> None:
    """Capture it, and return once the consumer has swept what it may have missed."""
    redis.set(f"{prefix}before", NEWER)
    source.apply()
    until(lambda: not redis.exists(f"{prefix}before"))


def test_keys_of_both_images_go_others_stay_and_a_truncate_drops_all(make_source: MakeSource, redis: Redis) -> None:
    source, prefix = invalidated(make_source)
    followed(source, redis, prefix)
    for code in ("a", "b", "c"):
        redis.set(prefix + code, OLD)
    run(source, "UPDATE items SET code = 'c' WHERE id = 1")
    until(lambda: redis.exists(prefix + "a", prefix + "c") == 0)
    assert redis.get(prefix + "b") == OLD
    run(source, "DELETE FROM items WHERE id = 2")
    until(lambda: not redis.exists(prefix + "b"))
    redis.set(prefix + "a", NEWER)
    redis.set(prefix + "b", OLD)
    run(source, "INSERT INTO items VALUES (4, 'a', 1), (5, 'b', 1)")
    until(lambda: not redis.exists(prefix + "b"))
    assert redis.get(prefix + "a") == NEWER, "a value that shows the change already was dropped"
    redis.mset({f"{prefix}{number}": OLD for number in range(3000)})
    run(source, "TRUNCATE items")
    until(lambda: next(redis.scan_iter(f"{prefix}*", count=5000), None) is None)


def test_a_lost_position_drops_the_prefix_and_goes_on(make_source: MakeSource, redis: Redis) -> None:
    source, prefix = invalidated(make_source)
    followed(source, redis, prefix)
    topic = f"{source.name}.public.items"
    run(source, *(f"UPDATE items SET price = {price} WHERE id = 1" for price in range(5)))
    wait_for_size(topic, 5, 30)
    forget(topic)
    redis.set(f"{prefix}z", NEWER)
    group = f"test-{uuid.uuid4().hex}"  # one that has never read, and cannot begin at the beginning
    with invalidating(group):
        until(lambda: not redis.exists(f"{prefix}z"))
        with closing(Kafka(settings().kafka_bootstrap)) as kafka:
            until(lambda: (topic, partition_of(kafka, topic)) in kafka.committed(group, [topic]))
        redis.set(f"{prefix}a", OLD)
        run(source, "UPDATE items SET price = 99 WHERE id = 1")
        until(lambda: not redis.exists(f"{prefix}a"))


def partition_of(kafka: Kafka, topic: str) -> int:
    """The partition that has lost its beginning."""
    return next(number for number, (first, _) in kafka.bounds(topic).items() if first > 0)


def forget(topic: str) -> None:
    """Delete the topic's records, as its retention does."""
    admin = AdminClient({"bootstrap.servers": settings().kafka_bootstrap})
    with closing(Kafka(settings().kafka_bootstrap)) as kafka:
        ends = [TopicPartition(topic, partition, end) for partition, (_, end) in kafka.bounds(topic).items() if end]
    for future in admin.delete_records(ends).values():
        future.result(10)
    assert size(topic) == 0


@contextmanager
def invalidating(group: str) -> Iterator[None]:
    """A consumer of the test's own, in a thread."""
    config = settings()
    with closing(CacheTarget(config.redis_url)) as target:
        reader = positions.consumer(config.kafka_bootstrap, group)
        invalidation = Invalidation(reader, target, config, group)
        thread = threading.Thread(target=invalidation.run)
        thread.start()
        try:
            yield
        finally:
            invalidation.stop()
            thread.join(60)
            reader.close()
            assert not thread.is_alive()


def test_another_life_of_redis_drops_what_it_may_hold_wrongly(
    make_source: MakeSource, redis: Redis, stack: Stack
) -> None:
    source, prefix = invalidated(make_source)
    followed(source, redis, prefix)
    redis.set(f"{prefix}z", NEWER)
    stack.kill("redis")
    stack.wait_until_healthy()
    until(lambda: not redis.exists(f"{prefix}z"))


def test_plan_refuses_what_the_database_lacks(make_source: MakeSource) -> None:
    source = make_source(ITEMS, rest="invalidate: {public.item: 'i:{id}', public.items: 'i:{cod}'}")
    with pytest.raises(ConfigurationError) as refused:
        source.apply()
    first, second = str(refused.value).splitlines()
    assert "`invalidate.public.item`: the table does not exist" in first
    assert "`invalidate.public.items`: the column cod does not exist; there are id, code, price" in second


def merchant(stack: Stack) -> httpx.Client:
    """One who does not care which version is changed."""
    auth = TokenSource(stack.env["SESSIONS_URL"], "demo", stack.env["DEMO_CLIENT_SECRET"])
    any_version = {"If-Match": "*"}
    return httpx.Client(base_url=stack.env["PRODUCTS_URL"], timeout=30, trust_env=False, auth=auth, headers=any_version)


def test_a_price_that_changes_is_seen_by_the_next_reader(stack: Stack) -> None:
    with merchant(stack) as http:
        tag = uuid.uuid4().hex[:12]
        category = http.post("/categories", json={"name": tag, "slug": tag}).raise_for_status().json()
        new = {"sku": tag, "name": "Knife", "brand": "B", "category_id": category["id"], "price": {"amount": "12.50"}}
        product = http.post("/products", json=new).raise_for_status().json()
        path = f"/products/{product['id']}"
        first = http.get(path).raise_for_status()
        assert first.json() == product
        assert http.get(path, headers={"If-None-Match": first.headers["etag"]}).status_code == 304
        http.put(f"{path}/price", json={"amount": "13.75", "currency": "EUR"}).raise_for_status()
        exact = http.get(path, headers={"Cache-Control": "no-cache"}).raise_for_status()
        assert exact.json()["price"]["amount"] == "13.75"
        assert exact.headers["etag"] != first.headers["etag"]
        until(lambda: http.get(path).json() == exact.json())
        assert http.get(path, headers={"If-None-Match": first.headers["etag"]}).status_code == 200
        http.delete(path).raise_for_status()
        until(lambda: http.get(path).status_code == 404)


def test_an_absence_ends_when_the_row_comes(stack: Stack) -> None:
    missing = uuid.uuid4()
    with (
        merchant(stack) as http,
        psycopg.connect(stack.env["PRODUCTS_DSN"], autocommit=True) as database,
    ):
        assert http.get(f"/products/{missing}").status_code == 404
        tag = uuid.uuid4().hex[:12]
        category = http.post("/categories", json={"name": tag, "slug": tag}).raise_for_status().json()
        with database.transaction():
            database.execute(
                "INSERT INTO products (id, sku, category_id, name, brand) VALUES (%s, %s, %s, 'Fork', 'B')",
                [missing, tag, category["id"]],
            )
            database.execute("INSERT INTO prices (product_id, amount) VALUES (%s, 1)", [missing])
            database.execute("INSERT INTO stock (product_id) VALUES (%s)", [missing])
        until(lambda: http.get(f"/products/{missing}").status_code == 200, 20)  # its absence would last 30 seconds
