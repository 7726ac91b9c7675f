"""What categories and groups demand of attributes."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from services.products.attributes import Attribute, InvalidAttributes, faults, refuse, variant_faults

VALUES = st.text() | st.booleans() | st.integers() | st.floats(allow_nan=False)


@given(VALUES)
def test_each_value_has_one_type(value: str | bool | float) -> None:
    fitting = [kind for kind in ("text", "number", "boolean") if Attribute(type=kind).fault(value) is None]
    assert fitting == [{str: "text", bool: "boolean", int: "number", float: "number"}[type(value)]]


def test_a_choice_is_one_of_its_values() -> None:
    choice = Attribute(type="choice", choices=["red", "1"])
    assert [choice.fault(value) is None for value in ("red", "1", 1, True, "RED", "")] == [True, True, *[False] * 4]
    assert choice.fault("green") == "must be one of: red, 1"


@pytest.mark.parametrize(
    "members",
    [{"type": "choice"}, {"type": "text", "choices": ["a"]}, {"type": "choice", "choices": ["a", "a"]}, {"type": "x"}],
)
def test_a_description_that_means_nothing_is_refused(members: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        Attribute.model_validate(members)


def test_what_is_required_and_missing_is_named_beside_what_is_wrong() -> None:
    schema = {"colour": Attribute(type="text", required=True), "size": Attribute(type="number")}
    assert faults(schema, {"size": "L", "free": True}) == {"colour": "is required", "size": "must be a number"}
    assert faults(schema, {"colour": "red"}) == {}


def test_a_variant_has_every_value_and_none_too_long_for_the_index() -> None:
    found = variant_faults(["colour", "size"], {"colour": "x" * 101})
    assert sorted(found) == ["colour", "size"]
    assert variant_faults(["colour"], {"colour": "x" * 100, "size": "y" * 500}) == {}


def test_a_refusal_names_each_field() -> None:
    refuse({})
    with pytest.raises(InvalidAttributes) as refusal:
        refuse({"b": "is required", "a": "must be text"}, "body.products.3.attributes")
    assert refusal.value.members["errors"] == [
        {"field": "body.products.3.attributes.a", "message": "must be text"},
        {"field": "body.products.3.attributes.b", "message": "is required"},
    ]
