"""What the types of `services.kit.schema` refuse, their JSON Schema says too; what it cannot say has a kind of its own."""

import re
from typing import Annotated, Any, ClassVar

import pytest
from pydantic import Field, TypeAdapter, ValidationError, model_validator

from services.kit.problem import RULE
from services.kit.schema import KEYS, Amount, Flag, Input, Moment, Name, Patch, Price, Quantity, Text, broken


class Change(Patch):
    nullable: ClassVar[frozenset[str]] = frozenset({"note"})

    name: Name | None = None
    note: Text | None = None


class Span(Input):
    first: int
    last: int

    @model_validator(mode="after")
    def _in_order(self) -> "Span":
        if self.first > self.last:
            raise broken("first is after last: {}")
        return self


def accepts(kind: Any, value: object) -> bool:
    try:
        TypeAdapter(kind).validate_python(value)
    except ValidationError:
        return False
    return True


def told(kind: Any) -> dict[str, Any]:
    return TypeAdapter(kind).json_schema()


@pytest.mark.parametrize("kind", [Price, Amount])
@pytest.mark.parametrize(
    "value", ["1", "12.5", "0012.50", "999999.99", "1.005", "1e2", "-1", "+1", " 1", "1_0", ".5", "1.", "", "NaN", "٣"]
)
def test_money_is_what_its_pattern_says(kind: Any, value: str) -> None:
    assert accepts(kind, value) == (re.fullmatch(told(kind)["pattern"], value) is not None)


@pytest.mark.parametrize("value", [1, 1.5, True, None])
def test_money_is_no_number(value: object) -> None:
    assert not accepts(Price, value)


def test_nothing_is_no_amount() -> None:
    for value in ("0", "0.00", "00.0"):
        assert accepts(Price, value)
        assert not accepts(Amount, value)
        assert re.fullmatch(told(Amount)["pattern"], value) is None


@pytest.mark.parametrize("kind", [Text, Name, Annotated[Text, Field(max_length=3)]])
@pytest.mark.parametrize("value", ["a", "a\0", "\0", " ", " a ", "a\nb"])
def test_text_is_what_its_pattern_says(kind: Any, value: str) -> None:
    assert accepts(kind, value) == (re.fullmatch(told(kind)["pattern"], value) is not None)


def test_a_flag_is_true_or_false_and_a_time_is_a_string_with_its_offset() -> None:
    assert [accepts(Flag, flag) for flag in (True, False, "yes", 1)] == [True, True, False, False]
    assert accepts(Moment, "2026-03-01T12:00:00Z") and accepts(Moment, "2026-03-01T12:00:00.123456+02:00")
    wrong: list[object] = ["2026-03-01T12:00:00", "2026-03-01", "1767225600", 1767225600, 1.5, True, None]
    for value in [*wrong, "2026-13-01T00:00:00Z"]:
        assert not accepts(Moment, value)


def test_a_whole_number_is_one_however_it_is_written() -> None:
    assert [accepts(Quantity, value) for value in (1, 1000, 1.0, 1.5, 1001.0, "1", True)] == [
        True, True, True, False, False, False, False,
    ]  # fmt: skip
    assert TypeAdapter(Quantity).validate_python(7.0) == 7
    assert told(Quantity) == {"type": "integer", "minimum": 1, "maximum": 1000}


def test_a_change_says_what_may_be_null_and_that_it_is_not_empty() -> None:
    schema = told(Change)
    assert schema["minProperties"] == 1
    assert schema["properties"]["name"]["type"] == "string"
    assert {"type": "null"} in schema["properties"]["note"]["anyOf"]
    assert [accepts(Change, value) for value in ({}, {"name": None}, {"note": None}, {"name": "a"})] == [
        False, False, True, True,
    ]  # fmt: skip


def test_a_map_says_that_there_are_no_other_names() -> None:
    schema = told(Annotated[dict[Annotated[Name, Field(max_length=9)], int], KEYS])
    assert schema["propertyNames"] == {"maxLength": 9, "minLength": 1, "pattern": told(Name)["pattern"]}
    assert schema["additionalProperties"] == {"type": "integer"}
    assert "patternProperties" not in schema


def test_a_broken_rule_is_known_from_a_faulty_member() -> None:
    with pytest.raises(ValidationError) as caught:
        Span(first=2, last=1)
    assert [(error["type"], error["msg"]) for error in caught.value.errors()] == [(RULE, "first is after last: {}")]
