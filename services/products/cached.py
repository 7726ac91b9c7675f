"""GET /products/{product_id} from the cache, as a route without FastAPI's work around it: it is asked most of all,
and is therefore not counted against anybody's rate.

A request that says ``Cache-Control: no-cache``, or which write it must see (``X-Commit-LSN``), is left to the route of
services.products.api behind it, which asks the database; OpenAPI is made of that one. The ETag is the row's version and
a digest of the answer, as stock changes it without the row's version.
"""

from uuid import UUID

from redis.asyncio import Redis
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Match, Route
from starlette.types import Scope

from services.kit import idempotency
from services.kit.auth import open_to_anyone
from services.kit.cache import Cache, Lifetimes
from services.kit.cache_shared import Shared
from services.kit.conditional import etag
from services.kit.problem import Unprocessable
from services.products.repository import unknown_product
from services.products.schemas import GroupWithVariants, Product
from services.products.service import Products

PREFIX = "product:"
"""cdc/sources/products.yaml names it in its templates."""

_EXACT = ((b"cache-control", b"no-cache"), (b"x-commit-lsn", b""))


class Answer:
    """One product (or group) as it is answered: the whole, and that it has not changed."""

    def __init__(self, value: bytes) -> None:
        tag, body = value.split(b"\n", 1)
        self.tag = tag.decode()
        headers = {"ETag": self.tag, "Cache-Control": "no-cache"}
        self.whole = Response(body, media_type="application/json", headers=headers)
        self.unchanged = Response(status_code=304, headers=headers)

    def to(self, request: Request) -> Response:
        """What to answer to this request."""
        wanted = request.headers.get("if-none-match")
        if wanted is None:
            return self.whole
        known = [tag.strip().removeprefix("W/") for tag in wanted.split(",")]
        return self.unchanged if self.tag in known or "*" in known else self.whole


def dump(thing: Product | GroupWithVariants) -> bytes:
    """The product as the cache keeps it: its ETag, and its JSON."""
    body = thing.model_dump_json().encode()
    return etag(thing.version, body).encode() + b"\n" + body


def reply(status: int, product: Product) -> idempotency.Reply:
    """The answer of a write that shows the product."""
    tag, body = dump(product).split(b"\n", 1)
    return idempotency.Reply(status, body, {"content-type": "application/json", "etag": tag.decode()})


def tag(response: Response, product: Product) -> Product:
    """`product`, with its ETag on the response."""
    response.headers["etag"] = etag(product.version, product.model_dump_json().encode())
    return product


def products(redis: Redis, service: Products, *, lifetimes: Lifetimes | None = None) -> Cache[Answer]:
    """The cache of products, by id."""

    async def load(key: str) -> tuple[int, bytes | None]:
        order, product = await service.read_as_of(UUID(key))
        return order, None if product is None else dump(product)

    return Cache("products", Shared(redis, PREFIX), load, Answer, lifetimes=lifetimes)


class CachedRoute(Route):
    """Takes the requests that a cached answer will do for; it wants the cache in `app.state.products`."""

    def __init__(self) -> None:
        super().__init__("/products/{product_id}", _read, methods=["GET"])

    def matches(self, scope: Scope) -> tuple[Match, Scope]:
        match, child = super().matches(scope)
        if match is Match.FULL and any(_asks_exactly(*header) for header in scope["headers"]):
            return Match.NONE, {}
        return match, child


def _asks_exactly(name: bytes, value: bytes) -> bool:
    return any(name == wanted and needle in value for wanted, needle in _EXACT)


@open_to_anyone
async def _read(request: Request) -> Response:
    text: str = request.path_params["product_id"]
    cache: Cache[Answer] = request.app.state.products
    if (answer := cache.near(text)) is not None:
        return answer.to(request)
    try:
        key = str(UUID(text))
    except ValueError:
        fault = {"field": "path.product_id", "message": "must be a UUID"}
        raise Unprocessable("path.product_id: must be a UUID", errors=[fault]) from None
    answer = await cache.get(key)
    if answer is None:
        raise unknown_product(UUID(key))
    return answer.to(request)
