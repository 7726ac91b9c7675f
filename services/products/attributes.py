"""Typed attributes of products: what a category demands of them, inherited from its parents, and the check.

An attribute that no category describes is free. Refuses a product whose attributes break what its category says, naming
each; products that exist already are held to a changed description when they are next written.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Literal, Self
from uuid import UUID

from pydantic import ConfigDict, Field, TypeAdapter, model_validator

from services.kit.db import Transaction
from services.kit.problem import Unprocessable
from services.kit.schema import KEYS, Flag, Input, Name, Told

MAX_VARIANT_TEXT = 100
"""Of a value that tells variants apart: three names and values must fit into one index entry."""


_CHOICES: dict[str, Any] = {
    "if": {"properties": {"type": {"const": "choice"}}, "required": ["type"]},
    "then": {"properties": {"choices": {"minItems": 1}}, "required": ["choices"]},
    "else": {"properties": {"choices": {"maxItems": 0}}},
}


class Attribute(Input):
    type: Literal["text", "number", "boolean", "choice"]
    required: Flag = False
    choices: Annotated[
        list[Annotated[Name, Field(max_length=100)]], Field(max_length=100), Told({"uniqueItems": True})
    ] = Field(default_factory=list, description="the values of a choice")

    model_config = ConfigDict(json_schema_extra=_CHOICES)

    @model_validator(mode="after")
    def _choices_belong_to_a_choice(self) -> Self:
        if (self.type == "choice") != bool(self.choices):
            raise ValueError("choices are given for the type choice, and only for it")
        if len(set(self.choices)) < len(self.choices):
            raise ValueError("choices must name each value once")
        return self

    def fault(self, value: object) -> str | None:
        """What is wrong with `value`; None when nothing is."""
        match self.type:
            case "text":
                return None if isinstance(value, str) else "must be text"
            case "number":
                return None if isinstance(value, (int, float)) and not isinstance(value, bool) else "must be a number"
            case "boolean":
                return None if isinstance(value, bool) else "must be true or false"
            case "choice":
                return None if value in self.choices else f"must be one of: {', '.join(self.choices)}"


AttributeSchema = Annotated[dict[Annotated[Name, Field(max_length=100)], Attribute], Field(max_length=50), KEYS]
_SCHEMA: TypeAdapter[dict[str, Attribute]] = TypeAdapter(AttributeSchema)


class InvalidAttributes(Unprocessable):
    slug = "invalid-attributes"


@dataclass(frozen=True, slots=True)
class _Level:
    category_id: UUID
    attribute_schema: dict[str, Any]


async def schemas_of(transaction: Transaction, categories: list[UUID]) -> dict[UUID, dict[str, Attribute]]:
    """Per category what it demands, with what it inherits; a category's own word goes before its parents'."""
    levels = await transaction.all(
        _Level,
        """WITH RECURSIVE line AS (
               SELECT id AS category_id, parent_id, attribute_schema, 0 AS height FROM categories WHERE id = ANY(%s)
               UNION ALL
               SELECT category_id, parent.parent_id, parent.attribute_schema, height + 1
               FROM line JOIN categories AS parent ON parent.id = line.parent_id)
           SELECT category_id, attribute_schema FROM line ORDER BY category_id, height DESC""",
        [categories],
    )
    merged: dict[UUID, dict[str, Any]] = {}
    for level in levels:
        merged.setdefault(level.category_id, {}).update(level.attribute_schema)
    return {category: _SCHEMA.validate_python(schema) for category, schema in merged.items()}


def faults(schema: Mapping[str, Attribute], attributes: Mapping[str, object]) -> dict[str, str]:
    """Per attribute what is wrong with it."""
    found = {name: "is required" for name, wanted in schema.items() if wanted.required and name not in attributes}
    for name, value in attributes.items():
        fault = schema[name].fault(value) if name in schema else None
        if fault is not None:
            found[name] = fault
    return found


def variant_faults(varies_by: list[str], attributes: Mapping[str, object]) -> dict[str, str]:
    """What keeps a product out of a group that varies by these attributes."""
    found = {
        name: "is required: the variants of the group differ by it" for name in varies_by if name not in attributes
    }
    for name in varies_by:
        value = attributes.get(name)
        if isinstance(value, str) and len(value) > MAX_VARIANT_TEXT:
            found[name] = f"must be at most {MAX_VARIANT_TEXT} characters: the variants of the group differ by it"
    return found


def refuse(found: Mapping[str, str], where: str = "body.attributes") -> None:
    """Raise InvalidAttributes when anything was found."""
    if found:
        errors = [{"field": f"{where}.{name}", "message": message} for name, message in sorted(found.items())]
        raise InvalidAttributes(
            "; ".join(f"{name} {message}" for name, message in sorted(found.items())), errors=errors
        )
