"""The JSON of the products service."""

from datetime import datetime
from decimal import Decimal
from typing import Annotated, ClassVar, Literal, Self
from uuid import UUID

from pydantic import Field, FiniteFloat, StrictBool, model_validator

from services.kit.schema import Currency, Input, Name, Output, Patch, Price, Quantity, Text

CategoryName = Annotated[Name, Field(max_length=100)]
Slug = Annotated[str, Field(min_length=1, max_length=100, pattern=r"^[a-z0-9]+(-[a-z0-9]+)*$")]
Sku = Annotated[Name, Field(max_length=64)]
ProductName = Annotated[Name, Field(max_length=200)]
Brand = Annotated[Name, Field(max_length=100)]
Description = Annotated[Text, Field(max_length=10_000)]
Goods = Annotated[int, Field(ge=1, le=1_000_000, strict=True)]

# Numbers that every reader of JSON keeps exactly.
_MAX_EXACT = 2**53
_Integer = Annotated[int, Field(ge=-_MAX_EXACT, le=_MAX_EXACT, strict=True)]
_Fraction = Annotated[FiniteFloat, Field(ge=-_MAX_EXACT, le=_MAX_EXACT, strict=True)]
_Value = Annotated[Text, Field(max_length=500)] | StrictBool | _Integer | _Fraction
Attributes = Annotated[dict[Annotated[Name, Field(max_length=100)], _Value], Field(max_length=50)]

MAX_IMPORT = 500
MAX_LINES = 50


class NewCategory(Input):
    name: CategoryName
    slug: Slug
    parent_id: UUID | None = None


class CategoryChange(Patch):
    nullable: ClassVar[frozenset[str]] = frozenset({"parent_id"})

    name: CategoryName | None = None
    parent_id: UUID | None = Field(default=None, description="null makes it a root")


class Category(Output):
    id: UUID
    parent_id: UUID | None
    name: str
    slug: str
    path: list[str] = Field(description="names from the root down to this category")
    created_at: datetime
    updated_at: datetime


class NewPrice(Input):
    amount: Price
    currency: Currency = "EUR"


class NewProduct(Input):
    sku: Sku
    name: ProductName
    brand: Brand
    category_id: UUID
    description: Description = ""
    attributes: Attributes = Field(default_factory=dict)
    price: NewPrice
    stock: Annotated[int, Field(ge=0, le=1_000_000, strict=True)] = 0


class ProductImport(Input):
    products: Annotated[list[NewProduct], Field(min_length=1, max_length=MAX_IMPORT)]


class Imported(Output):
    created: int


class ProductChange(Patch):
    name: ProductName | None = None
    brand: Brand | None = None
    category_id: UUID | None = None
    description: Description | None = None
    attributes: Attributes | None = None
    status: Literal["active", "discontinued"] | None = None


class GoodsReceived(Input):
    delta: Goods


class PriceTag(Output):
    amount: Decimal
    currency: str


class StockLevel(Output):
    available: int
    reserved: int
    sold: int


class Product(Output):
    id: UUID
    sku: str
    category_id: UUID
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


class WantedLine(Input):
    product_id: UUID
    quantity: Quantity


class NewReservation(Input):
    order_id: UUID
    lines: Annotated[list[WantedLine], Field(min_length=1, max_length=MAX_LINES)]

    @model_validator(mode="after")
    def _each_product_once(self) -> Self:
        if len({line.product_id for line in self.lines}) < len(self.lines):
            raise ValueError("lines must name each product once")
        return self


class ReservedLine(Output):
    product_id: UUID
    sku: str
    name: str
    quantity: int
    unit_price: Decimal
    currency: str


class Reservation(Output):
    order_id: UUID
    lines: list[ReservedLine]
