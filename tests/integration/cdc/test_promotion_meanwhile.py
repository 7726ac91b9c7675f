"""A promotion in the middle of a copy, and of an index that is built anew: a clear word, and nothing is lost."""

import os
from collections.abc import Callable

import pytest
from clickhouse_connect.driver.client import Client
from elasticsearch import Elasticsearch

from bench.source import ThrowAwaySource, throw_away_source
from cdc import documents
from cdc import state as engine_state
from cdc.backfill import chunks
from cdc.backfill.jobs import VoidBackfillError
from cdc.documents import aliases
from cdc.errors import CdcError
from cdc.settings import settings
from cdc.verify.documents import documents_of
from tests.integration.cdc.conftest import copy_again, run
from tests.integration.cdc.test_epochs import settled_in
from tests.integration.cdc.test_promotion import TABLE, Pair, copied, pair, rows
from tests.integration.cdc.waiting import eventually

__all__ = ["pair"]

DOCUMENTS = """
documents:
  - index: meanwhile
    mapping: {id: {type: integer}, v: {type: keyword}}
    nodes: {table: t, columns: [id, v]}
"""


def promoted_once(pair: Pair, source: ThrowAwaySource, *, followed: bool) -> Callable[..., None]:
    """A progress that promotes the standby at its first call; ``followed``: and waits until the keeper has begun to raise the epoch."""
    primary, standby = pair
    calls: list[object] = []  # several ranges are copied at once

    def promote(*_: object) -> None:
        calls.append(_)
        if len(calls) > 1:
            return
        primary.kill()
        standby.promote()
        run(source, "UPDATE t SET v = 'new line' WHERE id % 1000 = 7", "DELETE FROM t WHERE id % 1000 = 8")
        if followed:
            eventually(lambda: raised(source), "the keeper has seen it")

    return promote


def raised(source: ThrowAwaySource) -> bool:
    """Whether the epoch is being raised, or was."""
    with engine_state.connect(settings().millrace_state_dsn) as state:
        known = engine_state.find_source(state, source.name)
    return known is not None and known.epoch == 2


@pytest.mark.long
def test_a_copy_is_void_and_is_begun_anew_by_the_keeper(
    pair: Pair, target: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(chunks, "CHUNK_BYTES", 80 << 10)
    with throw_away_source("meanwhile", TABLE) as source:
        run(source, "INSERT INTO t SELECT n, 'first' FROM generate_series(1, 20000) n")
        source.capture()
        eventually(lambda: pair[1].keeps(source.file.slot), "the standby keeps the slot")
        with pytest.raises(VoidBackfillError, match="the epoch was raised"):
            copy_again(source, promoted_once(pair, source, followed=True), anew=False)
        eventually(lambda: settled_in(source, 2), "the new line is followed and compared")
        eventually(lambda: copied(target, source) == rows(source), "the copy is equal")
        assert len(rows(source)) == 19980


@pytest.mark.long
@pytest.mark.parametrize("followed", [True, False])
def test_an_index_that_is_built_anew_is_given_up_with_a_clear_word(pair: Pair, followed: bool) -> None:
    with (
        throw_away_source("meanwhile", TABLE, DOCUMENTS) as source,
        Elasticsearch(os.environ["ELASTICSEARCH_URL"]) as client,
    ):
        run(source, "INSERT INTO t SELECT n, 'first' FROM generate_series(1, 9000) n")
        source.apply()
        eventually(lambda: pair[1].keeps(source.file.slot), "the standby keeps the slot")
        progress = promoted_once(pair, source, followed=followed)
        word = "the epoch of source meanwhile is being raised or was raised" if followed else "source meanwhile"
        for file, known, [tree], passed in documents_of([source.name], 60):
            with pytest.raises(CdcError, match=word):
                documents.reindex(file, known, tree, settings(), passed, progress)
            assert aliases.all_of(client, tree) == ["meanwhile-1"], "readers keep the index that they have"
        eventually(lambda: settled_in(source, 2), "the new line is followed and compared")
        eventually(lambda: found(client) == rows(source), "the documents are equal")
        for file, known, [tree], passed in documents_of([source.name], 60):
            assert documents.reindex(file, known, tree, settings(), passed).equal
        assert found(client) == rows(source)


def found(client: Elasticsearch) -> list[tuple[int, str]]:
    """What a search of the alias gives, all of it."""
    client.indices.refresh(index="meanwhile")
    answer = client.search(index="meanwhile", size=10000, sort=[{"id": "asc"}])
    return [(hit["_source"]["id"], hit["_source"]["v"]) for hit in answer["hits"]["hits"]]
