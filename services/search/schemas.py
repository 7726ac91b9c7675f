"""What can be asked of the search and what it answers. Money is a decimal string with two places, as everywhere."""

from decimal import Decimal
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, StringConstraints, model_validator

from services.kit.schema import Price, Text

PAGE_SIZE = 20
# Elasticsearch collects every hit before the page: nobody reads that deep, and a crawler must not make it work so.
MAX_PAGE = 100

Sort = Literal["relevance", "price_asc", "price_desc", "newest"]


def _absent(value: object) -> object:
    """A form sends its empty fields as empty texts."""
    return None if value == "" else value


def _near(page: int) -> int:
    if page > MAX_PAGE:
        raise ValueError(f"must be at most {MAX_PAGE}; narrow the search instead of going deeper")
    return page


Absent = BeforeValidator(_absent)
Brand = Annotated[Text, StringConstraints(max_length=100)]
Slug = Annotated[str, StringConstraints(pattern=r"^[a-z0-9]+(-[a-z0-9]+)*$", max_length=100)]


class SearchQuery(BaseModel):
    """The parameters of a search; unknown ones are refused. Filters narrow the hits, each facet ignores its own."""

    model_config = ConfigDict(extra="forbid")

    q: Annotated[Text, Field(max_length=200, description="words to find; none finds everything")] = ""
    category: Annotated[Slug | None, Absent, Field(description="slug of a category")] = None
    brand: Annotated[Brand | None, Absent, Field(description="a brand, as its facet spells it")] = None
    min_price: Annotated[Price | None, Absent, Field(description="lowest price, inclusive")] = None
    max_price: Annotated[Price | None, Absent, Field(description="highest price, inclusive")] = None
    in_stock: Annotated[bool | None, Absent, Field(description="true: available now; false: not available")] = None
    sort: Annotated[Sort, BeforeValidator(lambda value: value or "relevance")] = "relevance"
    page: Annotated[
        int,
        BeforeValidator(lambda value: 1 if value == "" else value),
        AfterValidator(_near),
        Field(ge=1, description=f"from 1 to {MAX_PAGE}, {PAGE_SIZE} hits each"),
    ] = 1

    @model_validator(mode="after")
    def _price_range(self) -> Self:
        if self.min_price is not None and self.max_price is not None and self.min_price > self.max_price:
            raise ValueError("min_price is above max_price")
        return self


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
    """How many hits a category would leave."""

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


class SearchResult(BaseModel):
    """One page of hits, with the facets of all of them."""

    total: int
    page: int
    page_size: int
    hits: list[Hit]
    facets: Facets


def decimal_string(cents: int) -> str:
    """An amount in hundredths as a decimal string with two places."""
    return str(Decimal(cents).scaleb(-2).quantize(Decimal("0.01")))


def to_cents(amount: Decimal) -> int:
    """The inverse of `decimal_string`, for an amount with at most two places."""
    return int(amount * 100)
