"""Making topics, which several processes do when they start."""

from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from threading import Barrier

import pytest

from cdc.kafka import Kafka
from cdc.settings import settings


@pytest.mark.usefixtures("engine")
def test_a_topic_that_several_make_at_once_is_there_once_and_hinders_none() -> None:
    names, together = [f"made.at.once.{number}" for number in range(5)], Barrier(4)

    def make() -> None:
        with closing(Kafka(settings().kafka_bootstrap)) as kafka:
            for name in names:
                together.wait(30)
                kafka.create_topics([name], 3, 24)

    with ThreadPoolExecutor(4) as pool:
        for made in [pool.submit(make) for _ in range(4)]:
            made.result()
    with closing(Kafka(settings().kafka_bootstrap)) as kafka:
        there = kafka.topics()
        kafka.delete_topics(names)
    assert {name: there.get(name) for name in names} == dict.fromkeys(names, 3)
