"""Types of the JSON that services take and give: bounded, exact, closed. What a service does not know, it refuses.

Money is a decimal with two places, written as a string; text holds no NUL (PostgreSQL cannot store one); times are UTC.
What a type refuses its JSON Schema says too, where JSON Schema can; what it cannot is a rule (`broken`) with a kind of
problem of its own, so that a caller knows one from the other.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Annotated, Any, ClassVar, Self

from pydantic import (
    AfterValidator,
    AwareDatetime,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    GetJsonSchemaHandler,
    StrictBool,
    StringConstraints,
    WithJsonSchema,
    model_validator,
)
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema, PydanticCustomError

from services.kit.problem import RULE


@dataclass(frozen=True, eq=False)
class Told:
    """Members for a type's JSON Schema that say what its validator refuses; what the schema says already stays."""

    members: Mapping[str, Any]

    def __get_pydantic_json_schema__(self, core: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        return {**self.members, **handler(core)}


class _Keys:
    """For a map whose names have a pattern: pydantic tells what is under such names, not that there are no others."""

    def __get_pydantic_json_schema__(self, core: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        schema = handler(core)
        ((pattern, member),) = schema.pop("patternProperties").items()
        names = {**schema.get("propertyNames", {}), "pattern": pattern}
        return {**schema, "propertyNames": names, "additionalProperties": member}


KEYS = _Keys()


def broken(message: str) -> PydanticCustomError:
    """What a validator raises for a rule that JSON Schema cannot say: about several members, or the time of day."""
    return PydanticCustomError(RULE, "{message}", {"message": message})


def _storable(value: str) -> str:
    if "\0" in value:
        raise ValueError("must not contain the character U+0000")
    return value


# Regular expressions do not agree whether the separators among the control characters are white space.
_VISIBLE = re.compile(r"[^\s\x00-\x1f\x7f-\x9f\ufeff]")


def _visible(value: str) -> str:
    if not _VISIBLE.search(value):
        raise ValueError("must not be blank")
    return _storable(value)


_MOMENT = re.compile(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}[Tt ][0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]+)?([Zz]|[+-][0-9]{2}:[0-9]{2})"
)
_MONEY = re.compile(r"[0-9]+(\.[0-9]{1,2})?")


def _rfc3339(value: object) -> object:
    """Refuses what pydantic takes besides: numbers, which it would guess to be seconds or milliseconds."""
    if isinstance(value, str) and not _MOMENT.fullmatch(value):
        raise ValueError("must be a time with its offset, such as 2026-03-01T12:00:00Z")
    if isinstance(value, (int, float)):
        raise ValueError("must be a string, such as 2026-03-01T12:00:00Z")  # noqa: TRY004 - pydantic wants ValueError
    return value


def _whole(value: object) -> object:
    """1.0 is an integer in JSON, which knows but one kind of number."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


def _money(value: object) -> object:
    """Refuses numbers: JSON's are binary fractions to most who read and write them."""
    if isinstance(value, Decimal) or (isinstance(value, str) and _MONEY.fullmatch(value)):
        return value
    raise ValueError('must be a string such as "12.50": not negative, at most two places')


Text = Annotated[str, AfterValidator(_storable), Told({"pattern": r"^[^\u0000]*$"})]
Name = Annotated[
    str,
    StringConstraints(min_length=1),
    AfterValidator(_visible),
    Told({"pattern": r"^[^\u0000]*[^\s\u0000-\u001f\u007f-\u009f\ufeff][^\u0000]*$"}),
]
Country = Annotated[str, StringConstraints(pattern=r"^[A-Z]{2}$"), Field(description="ISO 3166-1 alpha-2")]
Currency = Annotated[str, StringConstraints(pattern=r"^[A-Z]{3}$"), Field(description="ISO 4217")]
Flag = StrictBool
WHOLE = BeforeValidator(_whole)
"""Behind the bounds of a strict integer: `Annotated[int, Field(ge=1, strict=True), WHOLE]`."""
Moment = Annotated[AwareDatetime, BeforeValidator(_rfc3339)]
# A million a piece and a thousand pieces a line keep every product of the two inside numeric(12, 2).
MAX_QUANTITY = 1000
Price = Annotated[
    Decimal,
    Field(ge=0, le=Decimal("999999.99"), decimal_places=2),
    BeforeValidator(_money),
    WithJsonSchema({"type": "string", "pattern": r"^0*[0-9]{1,6}(\.[0-9]{1,2})?$", "examples": ["12.50"]}),
]
Amount = Annotated[
    Decimal,
    Field(gt=0, le=Decimal("9999999999.99"), decimal_places=2),
    BeforeValidator(_money),
    WithJsonSchema(
        {"type": "string", "pattern": r"^(?!0*(\.0*)?$)0*[0-9]{1,10}(\.[0-9]{1,2})?$", "examples": ["12.50"]}
    ),
]
Quantity = Annotated[int, Field(ge=1, le=MAX_QUANTITY, strict=True), WHOLE]


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

    @classmethod
    def __get_pydantic_json_schema__(cls, core: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        """Fields are nullable in Python, where None stands for left out; the document tells what a caller may send."""
        reference = handler(core)
        schema = handler.resolve_ref_schema(reference)
        schema["minProperties"] = 1
        for name, member in schema["properties"].items():
            member.pop("default", None)
            if name not in cls.nullable:
                choices = [choice for choice in member.pop("anyOf", []) if choice != {"type": "null"}]
                member.update(choices[0] if len(choices) == 1 else {"anyOf": choices} if choices else {})
        return reference


class Output(BaseModel):
    model_config = ConfigDict(from_attributes=True)
