"""The target: one Elasticsearch index per tree behind an alias; made, looked at, removed. `cdc.documents.bulk` writes.

An index says of itself, in its mapping's `_meta`, which form of the tree it takes and which it holds in full: the note
goes when the index goes, so a new and empty index is never taken for a loaded one.
"""

from collections.abc import Iterator, Sequence
from typing import Any

from elastic_transport import ConnectionError as TransportConnectionError
from elastic_transport import TransportError
from elasticsearch import ApiError, BadRequestError, Elasticsearch

from cdc.documents.trees import Tree
from cdc.errors import ConfigurationError, TransientError

# The larger part of the time from a commit to a found document; shorter would make many small segments.
REFRESH_INTERVAL = "200ms"
PREPARED, LOADED = "prepared", "loaded"  # notes in the index: the form of the tree that it takes, and holds in full


def connect(url: str) -> Elasticsearch:
    """A client that several threads may share; retries are the caller's, as each must read anew."""
    return Elasticsearch(url, request_timeout=60, max_retries=0, retry_on_timeout=False)


def prepare(client: Elasticsearch, tree: Tree, retention_hours: int) -> None:
    """Create the tree's index and alias, or add new fields to the mapping of those that are there.

    A deleted document's version is remembered for the topics' retention, as long as an old change can still arrive; but
    a clean restart of Elasticsearch forgets it (a crash does not). That is harmless: a late change is read anew, and a
    reading that was on its way to the server when it stopped never arrived.

    Raises:
        ConfigurationError: Elasticsearch refuses the mapping or the settings.
        TransientError: Elasticsearch does not answer.
    """
    settings = {"number_of_replicas": 0, "refresh_interval": REFRESH_INTERVAL, "gc_deletes": f"{retention_hours}h"}
    try:
        notes = _notes(client, tree)
        if notes is None:
            mappings = {"dynamic": "strict", "properties": tree.mapping, "_meta": {PREPARED: tree.digest}}
            client.indices.create(
                index=f"{tree.index}-1", aliases={tree.index: {}}, mappings=mappings, settings=settings | tree.settings
            )
        elif notes.get(PREPARED) != tree.digest:
            client.indices.put_mapping(index=tree.index, properties=tree.mapping, meta=notes | {PREPARED: tree.digest})
    except BadRequestError as error:
        if error.error != "resource_already_exists_exception":
            reason = reason_of(error.info)
            raise ConfigurationError(
                f"index {tree.index}: Elasticsearch refuses its mapping or settings: {reason}"
            ) from None
    except (ApiError, TransportError) as error:
        raise unreachable(error) from error


def is_prepared(client: Elasticsearch, tree: Tree) -> bool:
    """Whether the index is there and takes the documents of this form of the tree."""
    return _noted(client, tree).get(PREPARED) == tree.digest


def is_loaded(client: Elasticsearch, tree: Tree) -> bool:
    """Whether every root has been written once in this form of the tree."""
    return _noted(client, tree).get(LOADED) == tree.digest


def mark_loaded(client: Elasticsearch, tree: Tree) -> None:
    """Note in the index itself that every root has been written to it; the note goes when the index goes."""
    try:
        client.indices.put_mapping(index=tree.index, meta={PREPARED: tree.digest, LOADED: tree.digest})
    except (ApiError, TransportError) as error:
        raise unreachable(error) from error


def remove(client: Elasticsearch, tree: Tree) -> None:
    """Delete the index behind the alias, if there is one."""
    try:
        if client.indices.exists_alias(name=tree.index):
            client.indices.delete(index=",".join(client.indices.get_alias(name=tree.index)))
    except (ApiError, TransportError) as error:
        raise unreachable(error) from error


def _noted(client: Elasticsearch, tree: Tree) -> dict[str, Any]:
    try:
        return _notes(client, tree) or {}
    except (ApiError, TransportError) as error:
        raise unreachable(error) from error


def _notes(client: Elasticsearch, tree: Tree) -> dict[str, Any] | None:
    """What the index says of itself; None when there is none behind the alias."""
    if not client.indices.exists_alias(name=tree.index):
        return None
    [found] = client.indices.get_mapping(index=tree.index).values()
    return dict(found["mappings"].get("_meta", {}))


def identifiers(client: Elasticsearch, index: str, at_once: int = 5000) -> Iterator[list[str]]:
    """The ids of all documents of the index as of now, some thousand at a time."""
    try:
        client.indices.refresh(index=index)
        point = client.open_point_in_time(index=index, keep_alive="5m")["id"]
        try:
            after = None
            while hits := _page(client, point, after, at_once):
                yield [hit["_id"] for hit in hits]
                after = hits[-1]["sort"]
        finally:
            client.close_point_in_time(id=point)
    except (ApiError, TransportError) as error:
        raise unreachable(error) from error


def _page(client: Elasticsearch, point: str, after: Any, size: int) -> list[dict[str, Any]]:
    answer = client.search(
        pit={"id": point, "keep_alive": "5m"},
        sort=[{"_shard_doc": "asc"}],
        search_after=after,
        size=size,
        source=False,
        track_total_hits=False,
    )
    return list(answer["hits"]["hits"])


def bodies(client: Elasticsearch, index: str, ids: Sequence[str]) -> dict[str, Any]:
    """The documents with these ids that are there, refreshed or not."""
    try:
        answer = client.mget(index=index, ids=list(ids))
    except (ApiError, TransportError) as error:
        raise unreachable(error) from error
    return {document["_id"]: document["_source"] for document in answer["docs"] if document.get("found")}


def highest_version(client: Elasticsearch, index: str, ids: Sequence[str]) -> int:
    """The highest version of the documents with these ids that are there; 0 when none is."""
    try:
        answer = client.mget(index=index, ids=list(ids), source=False)
    except (ApiError, TransportError) as error:
        raise unreachable(error) from error
    return max((document["_version"] for document in answer["docs"] if document.get("found")), default=0)


def reason_of(info: Any) -> str:
    """Elasticsearch's own words for an error, with its cause, in one line."""
    error = info.get("error", info) if isinstance(info, dict) else info
    if not isinstance(error, dict):
        return str(error)[:500]
    cause = error.get("caused_by", {}).get("reason", "")
    return f"{error.get('type')}: {error.get('reason')}{f' ({cause})' if cause else ''}"[:500]


def unreachable(error: ApiError | TransportError) -> TransientError:
    """The failure of a request that may succeed later."""
    if isinstance(error, TransportConnectionError):
        return TransientError("Elasticsearch does not answer; is it up? `millrace status`")
    return TransientError(f"Elasticsearch cannot take the request now: {str(error)[:300]}")
