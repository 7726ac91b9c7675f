"""A shop that is written and searched all the time, while something is done to its index."""

import random
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from elastic_transport import TransportError
from elasticsearch import ApiError

from cdc import source_database
from cdc.documents import index
from tests.integration.documents.shop import Shop


@dataclass
class Load:
    """What was done so far: changes committed, searches answered, and what went wrong with any of the searches."""

    changes: int = 0
    searches: int = 0
    failed: list[str] = field(default_factory=list)


@contextmanager
def load(shop: Shop, wares: list[str], rate: int, seed: int) -> Iterator[Load]:
    """Change prices, names and notes of the wares at about so many changes a second and search for all of them, for the block.

    Every search must be answered and find each ware: none comes or goes.
    """
    done, ended = Load(), threading.Event()
    threads = [
        threading.Thread(target=_write, args=(shop, wares, rate, seed, done, ended)),
        threading.Thread(target=_search, args=(shop, len(wares), done, ended)),
    ]
    for thread in threads:
        thread.start()
    try:
        yield done
    finally:
        ended.set()
        for thread in threads:
            thread.join()


def _write(shop: Shop, wares: list[str], rate: int, seed: int, done: Load, ended: threading.Event) -> None:
    chance = random.Random(seed)
    at_once = max(rate // 50, 1)
    with source_database.connect(shop.file) as database:
        began = time.monotonic()
        while not ended.is_set():
            some = [chance.choice(wares) for _ in range(at_once)]
            with database.transaction():
                database.execute(
                    "UPDATE prices p SET amount = p.amount + 1 FROM unnest(%s::uuid[]) w (id) WHERE p.ware_id = w.id",
                    [sorted(set(some))],
                )
                database.execute("UPDATE wares SET name = %s WHERE id = %s", [f"ware {chance.random()}", some[0]])
                note, ware = chance.randrange(1000), some[0]
                if chance.random() < 0.5:
                    database.execute(
                        "INSERT INTO notes VALUES (%s, %s, 'n') ON CONFLICT (id) DO UPDATE SET ware_id = excluded.ware_id",
                        [note, ware],
                    )
                else:
                    database.execute("DELETE FROM notes WHERE id = %s", [note])
            done.changes += len(set(some)) + 2
            ended.wait(max(0.0, began + done.changes / rate - time.monotonic()))


def _search(shop: Shop, wares: int, done: Load, ended: threading.Event) -> None:
    with index.connect(shop.config.elasticsearch_url) as client:
        while not ended.is_set():
            try:
                answer = client.search(
                    index=shop.tree.index,
                    query={"exists": {"field": "name"}},
                    size=1,
                    track_total_hits=True,
                    allow_partial_search_results=False,
                )
                found = answer["hits"]["total"]["value"]
                if found != wares:
                    done.failed.append(f"{found} of {wares} wares found")
            except (ApiError, TransportError) as error:
                done.failed.append(repr(error))
            done.searches += 1
