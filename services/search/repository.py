"""The product index as this service uses it, and failures as problems.

Whatever Elasticsearch's trouble is, the caller gets a problem document: away, overloaded or not set up yet is "try
again" (503); a request it cannot parse is a fault of ours (500).
"""

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

from elastic_transport import HttpxAsyncHttpNode, TransportError
from elasticsearch import ApiError, AsyncElasticsearch, BadRequestError, NotFoundError

from services.kit.problem import Unavailable, Unexpected

TIMEOUT_S = 5.0


def connect(url: str) -> AsyncElasticsearch:
    """A client for one event loop; no retries, the caller's caller decides."""
    return AsyncElasticsearch(
        url, node_class=HttpxAsyncHttpNode, request_timeout=TIMEOUT_S, max_retries=0, retry_on_timeout=False
    )


async def answers(client: AsyncElasticsearch) -> None:
    """Return when Elasticsearch answers; raise TransportError or ApiError when it does not."""
    await client.options(request_timeout=1.0).cluster.health()


async def search(client: AsyncElasticsearch, index: str, body: dict[str, Any]) -> dict[str, Any]:
    """The answer to one `_search` request, complete: a shard that fails fails the search.

    Raises:
        Unavailable: Elasticsearch is away or overloaded, or nothing has been indexed yet.
        Unexpected: it refuses the request.
    """
    with _as_problems():
        answer = await client.search(index=index, body=body, allow_partial_search_results=False)
    return dict(answer.body)


async def open_point(client: AsyncElasticsearch, index: str, keep_alive: str) -> str:
    """The name of a point in time: the index as it is now, kept until so long after its last use.

    Raises:
        ProblemError: as `search`.
    """
    with _as_problems():
        answer = await client.open_point_in_time(index=index, keep_alive=keep_alive)
    return str(answer["id"])


async def search_point(client: AsyncElasticsearch, body: dict[str, Any]) -> dict[str, Any] | None:
    """As `search`, of the point in time that the body names; None when that is over.

    Raises:
        ProblemError: as `search`.
    """
    with _as_problems():
        try:
            answer = await client.search(body=body, allow_partial_search_results=False)
        except NotFoundError:
            return None
    return dict(answer.body)


async def close_point(client: AsyncElasticsearch, point: str) -> None:
    """Let a point in time go; one that cannot be told to go goes by itself."""
    with suppress(ApiError, TransportError):
        await client.close_point_in_time(id=point)


@contextmanager
def _as_problems() -> Iterator[None]:
    try:
        yield
    except BadRequestError as error:
        raise Unexpected("the search could not be asked; the service's log has the reason") from error
    except ApiError as error:
        if error.status_code == 404:
            raise Unavailable("no product has been indexed yet; try again") from error
        raise Unavailable("the search index cannot answer now; try again") from error
    except TransportError as error:
        raise Unavailable("the search index does not answer; try again") from error
