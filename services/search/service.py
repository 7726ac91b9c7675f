"""What can be done with the search: ask it. Turns Elasticsearch's answer into ours."""

from typing import Any

from elasticsearch import AsyncElasticsearch

from services.search import query, repository
from services.search.schemas import (
    PAGE_SIZE,
    BrandCount,
    CategoryCount,
    Facets,
    Hit,
    Money,
    PriceCount,
    SearchQuery,
    SearchResult,
    StockCount,
    decimal_string,
)


class Search:
    """The searches of one index, as found by its alias."""

    def __init__(self, client: AsyncElasticsearch, index: str) -> None:
        self._client = client
        self._index = index

    async def search(self, asked: SearchQuery) -> SearchResult:
        """One page of hits with facets.

        Raises:
            ProblemError: as `repository.search`.
        """
        answer = await repository.search(self._client, self._index, query.build(asked))
        return SearchResult(
            total=answer["hits"]["total"]["value"],
            page=asked.page,
            page_size=PAGE_SIZE,
            hits=[_hit(hit) for hit in answer["hits"]["hits"]],
            facets=_facets({name: facet["values"]["buckets"] for name, facet in answer["aggregations"].items()}),
        )


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
        highlight=hit.get("highlight", {}),
    )


def _facets(buckets: dict[str, Any]) -> Facets:
    return Facets(
        category=[
            CategoryCount(value=bucket["name"]["buckets"][0]["key"], slug=bucket["key"], count=bucket["doc_count"])
            for bucket in buckets["category"]
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
