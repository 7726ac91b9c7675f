"""What can be done with the search: ask it, read all of it, be suggested to, choose. Turns Elasticsearch's answers into ours."""

from typing import Any
from uuid import UUID

from elasticsearch import AsyncElasticsearch

from services.kit.ids import uuid7
from services.search import events, facets, highlights, query, repository, suggestions
from services.search.cursors import KEEP_ALIVE_S, Cursors, Expired
from services.search.schemas import (
    PAGE_SIZE,
    BrandCount,
    CategoryCount,
    Click,
    DeepPage,
    DeepQuery,
    Facets,
    Hit,
    Money,
    PriceCount,
    SearchQuery,
    SearchResult,
    StockCount,
    Suggestions,
    SuggestQuery,
    decimal_string,
)
from services.search.wanted import Wanted, at_most, wanted

_KEEP_ALIVE = f"{KEEP_ALIVE_S}s"


class Search:
    """The searches of one index, as found by its alias. What is searched and chosen is told to `told`."""

    def __init__(self, client: AsyncElasticsearch, index: str, told: events.Told, cursors: Cursors) -> None:
        self._client = client
        self._index = index
        self._told = told
        self._cursors = cursors

    async def search(self, asked: SearchQuery, session: str | None = None, user_id: UUID | None = None) -> SearchResult:
        """One page of hits with facets.

        Raises:
            ProblemError: as `repository.search`.
        """
        want = await self._priced(wanted(asked))
        answer = await repository.search(self._client, self._index, query.page(want, asked.page))
        result = SearchResult(
            query_id=uuid7(),
            interpreted=want.interpreted,
            total=answer["hits"]["total"]["value"],
            page=asked.page,
            page_size=PAGE_SIZE,
            hits=[_hit(hit) for hit in answer["hits"]["hits"]],
            facets=_facets(answer["aggregations"]),
        )
        filters = _filters(asked, result)
        self._told.tell(events.searched(result.query_id, session, user_id, asked.q, filters, result.total))
        return result

    async def _priced(self, want: Wanted) -> Wanted:
        """With the bound that `cheap` stands for, which depends on what is found."""
        if not want.cheap:
            return want
        bound = query.cheap_bound(await repository.search(self._client, self._index, query.prices(want)))
        return want if bound is None else at_most(want, bound)

    async def all(self, asked: DeepQuery) -> DeepPage:
        """The next of all hits, as they were when the first were asked for. `cheap` narrows nothing here: it would have
        to mean the same on every page.

        Raises:
            InvalidCursor: the cursor is not one of this search.
            Expired: the cursor was not used in time.
            ProblemError: as `repository.search`.
        """
        want, after = wanted(asked), None
        if asked.cursor is None:
            point = await repository.open_point(self._client, self._index, _KEEP_ALIVE)
        else:
            point, after, _ = self._cursors.read(asked, asked.cursor)
        answer = await repository.search_point(self._client, query.lot(want, point, _KEEP_ALIVE, after, asked.limit))
        if answer is None:
            raise Expired
        hits, point = answer["hits"]["hits"], answer["pit_id"]
        more = len(hits) == asked.limit
        if not more:
            await repository.close_point(self._client, point)
        return DeepPage(
            total=answer["hits"]["total"]["value"] if after is None else None,
            items=[_hit(hit) for hit in hits],
            next_cursor=self._cursors.write(asked, point, hits[-1]["sort"]) if more else None,
        )

    async def suggest(self, asked: SuggestQuery) -> Suggestions:
        """What the text so far may become.

        Raises:
            ProblemError: as `repository.search`.
        """
        body = suggestions.request(asked)
        if body is None:
            return Suggestions(products=[], brands=[], categories=[])
        return suggestions.suggestions(await repository.search(self._client, self._index, body))

    def chosen(self, click: Click, session: str | None = None, user_id: UUID | None = None) -> None:
        """Tell of a choice among the hits of a search."""
        self._told.tell(events.clicked(click.query_id, session, user_id, click.product_id, click.position))


def _filters(asked: SearchQuery, result: SearchResult) -> dict[str, Any]:
    """The filters that counted, those from the words too; what was not asked for is left out."""
    named = asked.model_dump(exclude={"q", "min_price", "max_price", "sort", "page"}, exclude_none=True)
    prices = result.interpreted.model_dump(include={"min_price", "max_price", "sort"}, exclude_none=True)
    return named | prices | {"page": asked.page}


def _hit(hit: dict[str, Any]) -> Hit:
    product = hit["_source"]
    price = product.get("price")
    return Hit(
        id=product["id"],
        sku=product["sku"],
        name=product["name"],
        brand=product["brand"],
        price=price and Money(amount=decimal_string(price["amount_cents"]), currency=price["currency"]),
        in_stock=((product.get("stock") or {}).get("available") or 0) > 0,
        category=(product.get("category") or {}).get("path", []),
        highlight=highlights.shown(hit),
    )


def _facets(counted: dict[str, Any]) -> Facets:
    buckets = {name: counted[name]["values"]["buckets"] for name in ("brand", "price", "in_stock")}
    return Facets(
        category=[
            CategoryCount(value=name, slug=slug, count=count)
            for name, slug, count in facets.counted_categories(counted["category"])
        ],
        brand=[BrandCount(value=bucket["key"], count=bucket["doc_count"]) for bucket in buckets["brand"]],
        price=[
            PriceCount.model_validate(
                {"from": _bound(bucket, "from"), "to": _bound(bucket, "to"), "count": bucket["doc_count"]}
            )
            for bucket in buckets["price"]
        ],
        in_stock=[
            StockCount(value=value, count=buckets["in_stock"][str(value).lower()]["doc_count"])
            for value in (True, False)
        ],
    )


def _bound(bucket: dict[str, Any], name: str) -> str | None:
    return decimal_string(int(bucket[name])) if name in bucket else None
