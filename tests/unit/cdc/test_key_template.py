"""Templates of cache keys: filled from each image of a row, refused where they could name no key."""

import pytest

from cdc.catalog import Column, Shape
from cdc.invalidation.problems import problems
from cdc.key_template import Template


def test_both_images_give_their_keys_and_a_null_gives_none() -> None:
    template = Template.parse("price:{product_id}:{currency}")
    assert (template.prefix, template.columns) == ("price:", ("product_id", "currency"))
    before, after = {"product_id": 1, "currency": "EUR", "x": 0}, {"product_id": 2, "currency": "EUR", "x": 0}
    assert list(template.keys((before, after), "absent")) == ["price:1:EUR", "price:2:EUR"]
    assert list(template.keys((None, after | {"currency": None}), "absent")) == []
    assert list(template.keys((after | {"currency": "absent"},), "absent")) == []


@pytest.mark.parametrize(
    "text", ["product", "{id}", "product:{}", "product:{id!r}", "product:{id:5}", "product:{a.b}", "p:{"]
)
def test_a_text_that_names_no_key_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="is no template of a key"):
        Template.parse(text)


def _shape(identity: str) -> Shape:
    columns = (Column("id", "uuid", False), Column("sku", "text", False))
    return Shape("shop", "public", "items", columns, ("id",), identity)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("invalidate", "says"),
    [
        ({"public.item": "i:{id}"}, "`invalidate.public.item`: the table does not exist; captured are public.items"),
        ({"public.other": "i:{id}"}, "`invalidate.public.other`: the table is not captured"),
        ({"public.items": "i:{nr}"}, "`invalidate.public.items`: the column nr does not exist; there are id, sku"),
        ({"public.items": "i:{sku}"}, "ALTER TABLE public.items REPLICA IDENTITY FULL;"),
    ],
)
def test_what_a_database_lacks_is_named_in_one_line(invalidate: dict[str, str], says: str) -> None:
    [line] = problems(invalidate, [_shape("default")], ["public.items", "public.other"])
    assert says in line
    assert "\n" not in line


def test_with_both_images_in_the_log_any_column_will_do() -> None:
    assert list(problems({"public.items": "i:{sku}"}, [_shape("full")], ["public.items"])) == []
