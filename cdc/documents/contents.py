"""The documents that an index holds, read by their ids or all of them, as verification and repair need them."""

from collections.abc import Iterator, Sequence
from typing import Any

from elastic_transport import TransportError
from elasticsearch import ApiError, Elasticsearch

from cdc.documents.failures import unreachable


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
