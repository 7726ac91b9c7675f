"""Types of the JSON that services take and give: bounded, exact, closed. What a service does not know, it refuses.

Money is a decimal with two places, written as a string; text holds no NUL (PostgreSQL cannot store one); times are UTC.
"""

from decimal import Decimal
from typing import Annotated, ClassVar, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints, model_validator


def _storable(value: str) -> str:
    if "\0" in value:
        raise ValueError("must not contain the character U+0000")
    return value


def _visible(value: str) -> str:
    if not value.strip():
        raise ValueError("must not be blank")
    return _storable(value)


Text = Annotated[str, AfterValidator(_storable)]
Name = Annotated[str, StringConstraints(min_length=1), AfterValidator(_visible)]
Country = Annotated[str, StringConstraints(pattern=r"^[A-Z]{2}$"), Field(description="ISO 3166-1 alpha-2")]
Currency = Annotated[str, StringConstraints(pattern=r"^[A-Z]{3}$"), Field(description="ISO 4217")]
# A million a piece and a thousand pieces a line keep every product of the two inside numeric(12, 2).
MAX_QUANTITY = 1000
Price = Annotated[Decimal, Field(ge=0, le=Decimal("999999.99"), decimal_places=2)]
Amount = Annotated[Decimal, Field(gt=0, le=Decimal("9999999999.99"), decimal_places=2)]
Quantity = Annotated[int, Field(ge=1, le=MAX_QUANTITY, strict=True)]


class Input(BaseModel):
    """A request body. Unknown members are refused: a misspelt one must not be lost in silence."""

    model_config = ConfigDict(extra="forbid")


class Patch(Input):
    """A partial change: members left out stay as they are, null is refused but for the `nullable` ones."""

    nullable: ClassVar[frozenset[str]] = frozenset()

    @model_validator(mode="after")
    def _says_something(self) -> Self:
        if not self.model_fields_set:
            raise ValueError("names nothing to change")
        for name in self.model_fields_set - self.nullable:
            if getattr(self, name) is None:
                raise ValueError(f"{name} must not be null")
        return self


class Output(BaseModel):
    model_config = ConfigDict(from_attributes=True)
