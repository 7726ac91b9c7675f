"""What can be asked of the search and what it answers. Money is a decimal string with two places, as everywhere."""

import time
from decimal import Decimal
from typing import Annotated, Literal, Self
from uuid import UUID

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    GetJsonSchemaHandler,
    StringConstraints,
    model_validator,
)
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema

from services.kit.schema import WHOLE, Input, Price, Text, Told, broken

PAGE_SIZE = 20
# Elasticsearch collects every hit before the page: nobody reads that deep, and a crawler must not make it work so.
MAX_PAGE = 100

# A cursor holds Elasticsearch's name of the point in time, some hundred characters.
MAX_CURSOR = 2000
MAX_CLICK_AGE_S = 24 * 3600

Sort = Literal["relevance", "price_asc", "price_desc", "newest"]


def _absent(value: object) -> object:
    """A form sends its empty fields as empty texts."""
    return None if value == "" else value


def _near(page: int) -> int:
    if page > MAX_PAGE:
        raise ValueError(f"must be at most {MAX_PAGE}; narrow the search instead of going deeper")
    return page


def _recent(query_id: UUID) -> UUID:
    age = time.time() - (query_id.int >> 80) / 1000
    if query_id.version != 7 or not -60 <= age <= MAX_CLICK_AGE_S:
        raise broken("is not the id of a search of the last day")
    return query_id


class _OrEmpty:
    """Says so in the document."""

    def __get_pydantic_json_schema__(self, core: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        schema = handler(core)
        choices = [choice for choice in schema.pop("anyOf", [schema]) if choice != {"type": "null"}]
        return {"anyOf": [*choices, {"const": "", "type": "string"}]}


OR_EMPTY = _OrEmpty()
Absent = BeforeValidator(_absent)
Brand = Annotated[Text, StringConstraints(max_length=100)]
Opaque = Annotated[str, StringConstraints(max_length=MAX_CURSOR)]
Slug = Annotated[str, StringConstraints(pattern=r"^[a-z0-9]+(-[a-z0-9]+)*$", max_length=100)]


class Filters(BaseModel):
    """What narrows the hits and orders them; unknown parameters are refused."""

    model_config = ConfigDict(extra="forbid")

    q: Annotated[Text, Field(max_length=200, description="words to find; none finds everything")] = ""
    category: Annotated[
        Slug | None, Absent, OR_EMPTY, Field(description="slug of a category; finds all below it too")
    ] = None
    brand: Annotated[Brand | None, Absent, OR_EMPTY, Field(description="a brand, as its facet spells it")] = None
    min_price: Annotated[Price | None, Absent, OR_EMPTY, Field(description="lowest price, inclusive")] = None
    max_price: Annotated[Price | None, Absent, OR_EMPTY, Field(description="highest price, inclusive")] = None
    in_stock: Annotated[
        bool | None, Absent, OR_EMPTY, Field(description="true: available now; false: not available")
    ] = None
    sort: Annotated[Sort, BeforeValidator(lambda value: value or "relevance"), OR_EMPTY] = "relevance"

    @model_validator(mode="after")
    def _price_range(self) -> Self:
        if self.min_price is not None and self.max_price is not None and self.min_price > self.max_price:
            raise broken("min_price is above max_price")
        return self


class SearchQuery(Filters):
    """The parameters of a search. Each facet ignores its own filter."""

    page: Annotated[
        int,
        Field(ge=1),
        BeforeValidator(lambda value: 1 if value == "" else value),
        AfterValidator(_near),
        Told({"maximum": MAX_PAGE}),
        OR_EMPTY,
        Field(description=f"from 1 to {MAX_PAGE}, {PAGE_SIZE} hits each"),
    ] = 1


class DeepQuery(Filters):
    """The parameters of a reading of all hits; a page that continues repeats those of the first."""

    limit: Annotated[int, Field(ge=1, le=500), BeforeValidator(lambda v: 100 if v == "" else v), OR_EMPTY] = 100
    cursor: Annotated[Opaque | None, Absent, OR_EMPTY, Field(description="`next_cursor` of the page before")] = None


class SuggestQuery(BaseModel):
    """What has been typed so far."""

    model_config = ConfigDict(extra="forbid")

    q: Annotated[Text, Field(max_length=100, description="the text so far; its last word may be unfinished")]
    limit: Annotated[int, Field(ge=1, le=20), BeforeValidator(lambda v: 5 if v == "" else v), OR_EMPTY] = 5


class Money(BaseModel):
    """An amount with its currency."""

    amount: str = Field(description="decimal with two places", examples=["19.90"])
    currency: str


class Hit(BaseModel):
    """One product as a list shows it."""

    id: str
    sku: str
    name: str
    brand: str
    price: Money | None = Field(description="null while the product has no price")
    in_stock: bool
    category: list[str] = Field(description="names from the root of the tree down")
    highlight: dict[str, list[str]] = Field(
        description="by field, passages as HTML: found words within <em>, everything else escaped"
    )


class CategoryCount(BaseModel):
    """How many hits a category would leave, with those of all categories below it."""

    value: str = Field(description="name of the category")
    slug: str
    count: int


class BrandCount(BaseModel):
    """How many hits a brand would leave."""

    value: str
    count: int


class PriceCount(BaseModel):
    """Prices from `from` (inclusive) to `to` (exclusive); null is unbounded."""

    from_: str | None = Field(alias="from")
    to: str | None
    count: int


class StockCount(BaseModel):
    """How many hits are available, or are not."""

    value: bool
    count: int


class Facets(BaseModel):
    """What could be chosen further, each with its number of hits."""

    category: list[CategoryCount]
    brand: list[BrandCount]
    price: list[PriceCount]
    in_stock: list[StockCount]


class Interpreted(BaseModel):
    """How the typed words were read: `understood` are those about the price, `text` is what is left to find."""

    text: str = Field(description="words to find, in lower case and without accents")
    understood: list[str] = Field(examples=[["under 50 euro"]])
    min_price: str | None = Field(description="inclusive, from the words or the parameter")
    max_price: str | None = Field(description="inclusive, from the words or the parameter")
    sort: Sort


class SearchResult(BaseModel):
    """One page of hits, with the facets of all of them."""

    query_id: UUID = Field(description="names this search; give it back with a click")
    interpreted: Interpreted
    total: int
    page: int
    page_size: int
    hits: list[Hit]
    facets: Facets


class DeepPage(BaseModel):
    """Some of all hits, as they were when the first page was asked for."""

    total: int | None = Field(description="on the first page; null on those that continue")
    items: list[Hit]
    next_cursor: str | None = Field(description="give it back as `cursor` within a minute; null at the end")


class SuggestedProduct(BaseModel):
    """A product whose name has the words."""

    id: str
    name: str


class SuggestedCategory(BaseModel):
    """A category whose name, or that of one above it, has the words."""

    slug: str
    path: list[str]


class Suggestions(BaseModel):
    """What the text so far may become."""

    products: list[SuggestedProduct]
    brands: list[str]
    categories: list[SuggestedCategory]


class Click(Input):
    """A shopper's choice among the hits of a search."""

    query_id: Annotated[UUID, AfterValidator(_recent), Field(description="of the answer that was shown")]
    product_id: UUID
    position: Annotated[
        int, Field(ge=1, le=MAX_PAGE * PAGE_SIZE, strict=True, description="place among all hits, from 1"), WHOLE
    ]


def decimal_string(cents: int) -> str:
    """An amount in hundredths as a decimal string with two places."""
    return str(Decimal(cents).scaleb(-2).quantize(Decimal("0.01")))


def to_cents(amount: Decimal) -> int:
    """The inverse of `decimal_string`, for an amount with at most two places."""
    return int(amount * 100)
