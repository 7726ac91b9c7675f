"""The JSON of the catalogue; that of holds and stock is in stock_schemas.py."""

from datetime import datetime
from decimal import Decimal
from typing import Annotated, ClassVar, Literal, Self
from uuid import UUID

from pydantic import Field, FiniteFloat, StrictBool, model_validator

from services.kit.schema import KEYS, WHOLE, Currency, Input, Name, Output, Patch, Price, Text, Told, broken
from services.products.attributes import AttributeSchema

CategoryName = Annotated[Name, Field(max_length=100)]
Slug = Annotated[str, Field(min_length=1, max_length=100, pattern=r"^[a-z0-9]+(-[a-z0-9]+)*$")]
Sku = Annotated[Name, Field(max_length=64)]
ProductName = Annotated[Name, Field(max_length=200)]
Brand = Annotated[Name, Field(max_length=100)]
Description = Annotated[Text, Field(max_length=10_000)]

# Numbers that every reader of JSON keeps exactly.
_MAX_EXACT = 2**53
_Integer = Annotated[int, Field(ge=-_MAX_EXACT, le=_MAX_EXACT, strict=True)]
_Fraction = Annotated[FiniteFloat, Field(ge=-_MAX_EXACT, le=_MAX_EXACT, strict=True)]
_Value = Annotated[Text, Field(max_length=500)] | StrictBool | _Integer | _Fraction
Attributes = Annotated[dict[Annotated[Name, Field(max_length=100)], _Value], Field(max_length=50), KEYS]

MAX_IMPORT = 500
MAX_VARIES_BY = 3
VariesBy = Annotated[
    list[Annotated[Name, Field(max_length=100)]],
    Field(min_length=1, max_length=MAX_VARIES_BY, description="names of the attributes that tell the variants apart"),
    Told({"uniqueItems": True}),
]


class NewCategory(Input):
    name: CategoryName
    slug: Slug
    parent_id: UUID | None = None
    attribute_schema: AttributeSchema = Field(
        default_factory=dict, description="attributes of the products here and below; a child may redefine one"
    )


class CategoryChange(Patch):
    nullable: ClassVar[frozenset[str]] = frozenset({"parent_id"})

    name: CategoryName | None = None
    parent_id: UUID | None = Field(default=None, description="null makes it a root")
    attribute_schema: AttributeSchema | None = Field(
        default=None, description="replaces the whole; products are held to it when they are next written"
    )


class Category(Output):
    id: UUID
    parent_id: UUID | None
    name: str
    slug: str
    path: list[str] = Field(description="names from the root down to this category")
    attribute_schema: AttributeSchema
    created_at: datetime
    updated_at: datetime
    version: int


class NewPrice(Input):
    amount: Price
    currency: Currency = "EUR"
    compare_at: Price | None = Field(default=None, description="a former or recommended price; higher than the amount")

    @model_validator(mode="after")
    def _compares_with_more(self) -> Self:
        if self.compare_at is not None and self.compare_at <= self.amount:
            raise broken("compare_at must be higher than amount")
        return self


class NewProduct(Input):
    sku: Sku
    name: ProductName
    brand: Brand
    category_id: UUID
    group_id: UUID | None = Field(default=None, description="of whose variants this is one")
    description: Description = ""
    attributes: Attributes = Field(default_factory=dict)
    price: NewPrice
    stock: Annotated[int, Field(ge=0, le=1_000_000, strict=True), WHOLE] = 0


class ProductImport(Input):
    products: Annotated[list[NewProduct], Field(min_length=1, max_length=MAX_IMPORT)]


class Imported(Output):
    created: int


class ProductChange(Patch):
    nullable: ClassVar[frozenset[str]] = frozenset({"group_id"})

    name: ProductName | None = None
    brand: Brand | None = None
    category_id: UUID | None = None
    group_id: UUID | None = Field(default=None, description="null takes it out of its group")
    description: Description | None = None
    attributes: Attributes | None = None
    status: Literal["active", "discontinued"] | None = None


class PriceTag(Output):
    amount: Decimal
    currency: str
    compare_at: Decimal | None


class StockLevel(Output):
    available: int
    reserved: int
    sold: int


class Product(Output):
    id: UUID
    sku: str
    category_id: UUID
    group_id: UUID | None
    name: str
    brand: str
    description: str
    attributes: dict[str, str | bool | int | float]
    status: str
    price: PriceTag
    stock: StockLevel
    created_at: datetime
    updated_at: datetime
    version: int


class PriceChange(Output):
    old_amount: Decimal | None = Field(description="null for the first price")
    old_currency: str | None
    new_amount: Decimal
    new_currency: str
    new_compare_at: Decimal | None
    at: datetime


class NewGroup(Input):
    name: ProductName
    varies_by: VariesBy

    @model_validator(mode="after")
    def _each_attribute_once(self) -> Self:
        _require_distinct(self.varies_by)
        return self


class GroupChange(Patch):
    name: ProductName | None = None
    varies_by: VariesBy | None = None

    @model_validator(mode="after")
    def _each_attribute_once(self) -> Self:
        _require_distinct(self.varies_by or [])
        return self


def _require_distinct(names: list[str]) -> None:
    if len(set(names)) < len(names):
        raise ValueError("varies_by must name each attribute once")


class Group(Output):
    id: UUID
    name: str
    varies_by: list[str]
    created_at: datetime
    updated_at: datetime
    version: int


class Variant(Output):
    product_id: UUID
    sku: str
    name: str
    status: str
    variant: dict[str, str | bool | int | float] = Field(description="the values of the attributes in varies_by")
    amount: Decimal
    currency: str
    available: int


class GroupWithVariants(Group):
    variants: list[Variant]
