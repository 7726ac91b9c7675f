"""Writing documents in bulk under external versions.

An item refused because a newer version is there counts as done. An item the cluster has no room for now is handed back,
to be read and written anew. Any other refusal is handed back with its reason, for the caller to park: nothing is skipped.
Writes go to the alias only and require it, so that a missing index is an error and never one that Elasticsearch makes up.
Elasticsearch does make one up for a deletion under an external version, alias required or not: before these it is asked.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, cast

import orjson
from elastic_transport import TransportError
from elasticsearch import ApiError, Elasticsearch

from cdc.documents.failures import reason_of, unreachable
from cdc.documents.reading import Reading
from cdc.errors import PermanentError

BULK_BYTES = 8 << 20  # a request of about 8 MB: larger gains nothing, and memory on both sides stays bounded
BUSY = frozenset({429, 502, 503, 504})


@dataclass
class Written:
    """What became of a bulk: counts, the ids that were refused for lack of room, and those refused for what they are, with
    the reason."""

    indexed: int = 0
    deleted: int = 0
    superseded: int = 0
    busy: list[str] = field(default_factory=list)
    refused: dict[str, str] = field(default_factory=dict)


def write(client: Elasticsearch, index: str, reading: Reading) -> Written:
    """Write a reading: documents that exist are indexed, the others deleted, all under the reading's version.

    Raises:
        PermanentError: the alias is gone.
        TransientError: Elasticsearch did not answer; whether anything was written is unknown.
    """
    written = Written()
    for request in _requests(reading):
        try:
            if _deletes(request) and not client.indices.exists_alias(name=index):
                raise _without_alias(index)
            answer = client.bulk(
                index=index,
                operations=cast(Sequence[dict[str, Any]], request),  # the client sends bytes as they are
                require_alias=True,
                filter_path="items.*._id,items.*.status,items.*.error",
            )
        except ApiError as error:
            if error.status_code in BUSY:
                raise unreachable(error) from error
            raise PermanentError(
                f"index {index}: Elasticsearch refuses a bulk request: {reason_of(error.info)}"
            ) from error
        except TransportError as error:
            raise unreachable(error) from error
        for item in answer["items"]:
            [(action, outcome)] = item.items()
            _count(written, index, action, outcome)
    return written


def _count(written: Written, index: str, action: str, outcome: dict[str, Any]) -> None:
    status = outcome["status"]
    if status == 409:
        written.superseded += 1
    elif status in BUSY:
        written.busy.append(outcome["_id"])
    elif action == "delete" and status in (200, 404) and "error" not in outcome:
        written.deleted += 1
    elif status in (200, 201):
        written.indexed += 1
    elif outcome["error"]["type"] == "index_not_found_exception":
        raise _without_alias(index)
    else:
        written.refused[outcome["_id"]] = f"{status} {reason_of({'error': outcome['error']})}"


def _deletes(request: Sequence[bytes]) -> bool:
    return any(line.startswith(b'{"delete":') for line in request)


def _without_alias(index: str) -> PermanentError:
    return PermanentError(
        f"index {index}: there is no such alias; run `millrace cdc apply`, then `millrace cdc backfill`"
    )


def _requests(reading: Reading) -> Iterator[Sequence[bytes]]:
    lines: list[bytes] = []
    size = 0
    for identifier, body in reading.bodies:
        action = {"_id": identifier, "version": reading.version, "version_type": "external"}
        lines.append(orjson.dumps({"delete" if body is None else "index": action}))
        if body is not None:
            # Only a `json` column can hold a line break outside of a string, where it means nothing.
            lines.append(body.replace("\n", " ").encode())
            size += len(body)
        if size > BULK_BYTES:
            yield lines
            lines, size = [], 0
    if lines:
        yield lines
