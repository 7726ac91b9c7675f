"""What becomes of an index when the form of its documents changes: extended in place, or made anew beside the old one."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any
from uuid import uuid4

import pytest
from elasticsearch import Elasticsearch

from cdc.documents import aliases, bulk, contents, index
from cdc.documents.followed import Followers
from cdc.documents.reading import Reading
from cdc.documents.trees import Tree
from cdc.errors import ConfigurationError, PermanentError
from tests.unit.documents.catalog import tree, wares_document

HOURS = 1


@pytest.fixture(scope="module")
def client(stack: Any) -> Iterator[Elasticsearch]:
    """Of the stack's Elasticsearch."""
    with index.connect(stack.env["ELASTICSEARCH_URL"]) as client:
        yield client


@pytest.fixture
def wares(client: Elasticsearch) -> Iterator[Tree]:
    """A tree whose index is there, holds one document and is loaded."""
    made = replace(tree(wares_document()), index=f"wares{uuid4().hex[:8]}")
    index.prepare(client, made, HOURS)
    bulk.write(client, made.written, Reading(1, [("a", '{"name": "Blue shoes"}')]))
    index.mark_loaded(client, made)
    yield made
    index.remove(client, made)


def found(client: Elasticsearch, tree: Tree, name: str) -> list[str]:
    client.indices.refresh(index=tree.index)
    answer = client.search(index=tree.index, query={"match": {"name": name}}, sort=["_doc"])
    return [hit["_id"] for hit in answer["hits"]["hits"]]


def names(client: Elasticsearch, tree: Tree) -> list[str]:
    return sorted(client.indices.get(index=f"{tree.index}-*"))


def test_a_new_field_is_added_to_the_index_that_is_there(client: Elasticsearch, wares: Tree) -> None:
    wider = replace(wares, mapping=wares.mapping | {"colour": {"type": "keyword"}})
    index.prepare(client, wider, HOURS)
    assert names(client, wares) == [f"{wares.index}-1"]
    assert (index.is_prepared(client, wider), index.is_loaded(client, wider)) == (True, False)
    with pytest.raises(PermanentError, match="there is no such alias"):  # who still writes the form before
        bulk.write(client, wares.written, Reading(2, [("a", None)]))


def test_another_analysis_is_loaded_beside_and_takes_the_place_when_it_is_whole(
    client: Elasticsearch, wares: Tree
) -> None:
    stems = {"type": "custom", "tokenizer": "standard", "filter": ["lowercase", "english"]}
    analysis = {"filter": {"english": {"type": "hunspell", "locale": "en_US"}}, "analyzer": {"stems": stems}}
    stemmed = replace(
        wares,
        mapping=wares.mapping | {"name": {"type": "text", "analyzer": "stems"}},
        settings={"analysis": analysis},
    )
    index.prepare(client, stemmed, HOURS)
    assert names(client, wares) == [f"{wares.index}-1", f"{wares.index}-2"]
    assert (index.is_prepared(client, stemmed), index.is_loaded(client, stemmed)) == (True, False)

    # readers stay with the index before, which a writer of that form still brings up to date
    bulk.write(client, wares.written, Reading(2, [("b", '{"name": "Red shoes"}')]))
    bulk.write(client, stemmed.written, Reading(3, [("a", '{"name": "Blue shoes"}'), ("b", '{"name": "Red shoes"}')]))
    assert (found(client, wares, "shoe"), found(client, wares, "shoes")) == ([], ["a", "b"])

    index.mark_loaded(client, stemmed)
    assert names(client, wares) == [f"{wares.index}-2"]
    assert index.is_loaded(client, stemmed)
    assert found(client, wares, "shoe") == ["a", "b"]


def test_a_new_index_that_was_begun_and_given_up_is_no_longer_there(client: Elasticsearch, wares: Tree) -> None:
    first = replace(wares, mapping=wares.mapping | {"name": {"type": "keyword"}})
    second = replace(wares, mapping=wares.mapping | {"name": {"type": "long"}})
    index.prepare(client, first, HOURS)
    index.prepare(client, second, HOURS)
    assert names(client, wares) == [f"{wares.index}-1", f"{wares.index}-2"]
    assert (index.is_prepared(client, first), index.is_prepared(client, second)) == (False, True)
    assert found(client, wares, "shoes") == ["a"]
    index.mark_loaded(client, second)
    assert names(client, wares) == [f"{wares.index}-2"]


def test_a_mapping_that_no_index_takes_is_refused_and_readers_see_nothing_of_it(
    client: Elasticsearch, wares: Tree
) -> None:
    wrong = replace(wares, mapping=wares.mapping | {"name": {"type": "no_such_type"}})
    with pytest.raises(ConfigurationError, match=r"refuses its mapping or settings: .*no_such_type"):
        index.prepare(client, wrong, HOURS)
    assert names(client, wares) == [f"{wares.index}-1"]
    assert found(client, wares, "shoes") == ["a"]


def test_a_name_that_something_else_has_is_refused_and_left_alone(client: Elasticsearch, wares: Tree) -> None:
    other = replace(wares, source="another")
    assert (aliases.in_use(client, wares), aliases.in_use(client, other)) == (None, f"{wares.index} ({wares.index}-1)")
    with pytest.raises(ConfigurationError, match=f"the name {wares.index} .* is in use by something else"):
        index.prepare(client, replace(other, mapping=other.mapping | {"colour": {"type": "keyword"}}), HOURS)
    index.remove(client, other)
    assert found(client, wares, "shoes") == ["a"]

    theirs = replace(wares, index=f"theirs{uuid4().hex[:8]}")
    archive = f"{theirs.index}-archive"
    try:
        client.indices.create(index=archive)
        assert aliases.in_use(client, theirs) is None
        index.prepare(client, theirs, HOURS)
        index.remove(client, theirs)
        assert client.indices.exists(index=archive)
        client.indices.put_alias(index=archive, name=theirs.index)
        assert aliases.in_use(client, theirs) == f"{theirs.index} ({archive})"
        client.indices.delete(index=archive)
        client.indices.create(index=theirs.index)
        with pytest.raises(ConfigurationError, match=f"the name {theirs.index} is in use by something else"):
            index.prepare(client, theirs, HOURS)
        index.remove(client, theirs)
        assert client.indices.exists(index=theirs.index)
    finally:
        for name in (archive, theirs.index):
            client.indices.delete(index=name, ignore_unavailable=True)


def test_an_index_that_comes_or_goes_while_two_are_written_is_noticed_at_that_writing(
    client: Elasticsearch, wares: Tree, monkeypatch: pytest.MonkeyPatch
) -> None:
    followers, write = Followers(client), bulk.write
    second = index.beside(client, wares, HOURS)
    followers.write(wares, Reading(2, [("b", '{"name": "Red shoes"}')]))
    third: list[str] = []

    def while_it_writes(client: Elasticsearch, name: str, reading: Reading) -> bulk.Written:
        done = write(client, name, reading)
        if not third:
            third.append(index.beside(client, wares, HOURS))
        return done

    monkeypatch.setattr(bulk, "write", while_it_writes)
    followers.write(wares, Reading(3, [("c", '{"name": "Green shoes"}'), ("b", None)]))
    everywhere = aliases.followers(client, wares)
    assert everywhere == (f"{wares.index}-1", second, *third)
    assert all(list(contents.bodies(client, name, ["b", "c"])) == ["c"] for name in everywhere)

    def gone_before(client: Elasticsearch, name: str, reading: Reading) -> bulk.Written:
        for other in {second, *third} & set(aliases.followers(client, wares)):
            client.indices.delete(index=other)
        return write(client, name, reading)

    monkeypatch.setattr(bulk, "write", gone_before)
    for version in (4, 5):
        done = followers.write(wares, Reading(version, [("d", '{"name": "Grey shoes"}')]))
        assert (done.indexed, done.refused) == (1, {})
    assert found(client, wares, "shoes") == ["a", "c", "d"]
