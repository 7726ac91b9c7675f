"""Raw tables: what is declared for a shape, and how strictly values are taken."""

from typing import Any

import pytest

from cdc.catalog import Column, Shape
from cdc.errors import ConfigurationError
from cdc.sinks.clickhouse.raw_table import columns_of, copy_insert, create_statement, stream_insert
from cdc.types import clickhouse_type, mapping


def column(
    name: str,
    kind: str,
    *,
    nullable: bool = False,
    precision: int | None = None,
    scale: int | None = None,
    stored_as: str | None = None,
) -> Column:
    return Column(name, kind, nullable, precision, scale, stored_as=stored_as)


def array(element: str, *, nullable: bool = False, dimensions: int = 1, **others: Any) -> Column:
    return Column("c", f"_{element}", nullable, element=element, dimensions=dimensions, **others)


SHAPE = Shape(
    "shop",
    "public",
    "odd `names`",
    (column("id", "int8"), column("it's", "text", nullable=True), column("amount", "numeric", precision=12, scale=2)),
    ("id",),
)


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (column("c", "int4"), "Int32"),
        (column("c", "int4", nullable=True), "Nullable(Int32)"),
        (column("c", "numeric", precision=12, scale=2), "Decimal(12, 2)"),
        (column("c", "numeric"), "String"),
        (column("c", "numeric", precision=100, scale=2), "String"),
        (column("c", "timestamptz"), "DateTime64(6, 'UTC')"),
        (column("c", "enum", nullable=True), "Nullable(String)"),
        (array("text"), "Array(Nullable(String))"),
        (array("numeric", precision=12, scale=2), "Array(Nullable(Decimal(12, 2)))"),
        (array("money"), "Array(Nullable(String))"),
        (array("text", nullable=True), "Nullable(String)"),
        (array("int4", dimensions=2), "String"),
        (column("c", "numeric", precision=3, scale=-2), "Decimal(5, 0)"),
        (column("c", "numeric", precision=5, scale=8), "Decimal(8, 8)"),
        (column("c", "numeric", precision=76, scale=38), "Decimal(76, 38)"),
        (column("c", "a type of somebody's own"), "String"),
        (column("c", "date", nullable=True), "Nullable(Date32)"),
        (column("c", "date", stored_as="text"), "String"),
        (column("c", "timestamp", stored_as="clamp"), "DateTime64(6, 'UTC')"),
        (column("c", "numeric", stored_as="Decimal(20, 4)"), "Decimal(20, 4)"),
        (column("c", "text", stored_as="LowCardinality(String)"), "LowCardinality(String)"),
        (column("c", "text", nullable=True, stored_as="LowCardinality(String)"), "LowCardinality(Nullable(String))"),
    ],
)
def test_types_never_truncate(given: Column, expected: str) -> None:
    assert clickhouse_type(given) == expected


@pytest.mark.parametrize(
    ("given", "says"),
    [
        (column("c", "int4", stored_as="text"), "its usual mapping is exact, and there is no other"),
        (column("c", "text", stored_as="clamp"), "it can be text, LowCardinality"),
        (column("c", "date", stored_as="Date"), "it can be text, clamp"),
        (column("c", "numeric", stored_as="Decimal(77, 2)"), "it can be text, Decimal"),
        (column("c", "numeric", stored_as="Decimal(5, 6)"), "it can be text, Decimal"),
        (array("int4", stored_as="Array(Int8)"), "it can be text$"),
    ],
)
def test_what_a_column_cannot_be_kept_as_is_refused_with_what_it_can(given: Column, says: str) -> None:
    with pytest.raises(ConfigurationError, match=f"column c of type .* cannot be kept as .*{says}"):
        mapping(given)


def test_the_service_columns_follow_the_source_columns() -> None:
    assert list(columns_of(SHAPE)) == [
        "id",
        "it's",
        "amount",
        "_version",
        "_deleted",
        "_committed_at",
        "_ingested_at",
        "_batch",
    ]


def test_identifiers_are_quoted_everywhere() -> None:
    for statement in (create_statement(SHAPE), stream_insert(SHAPE, 1, 1, moved=False), copy_insert(SHAPE, 1, 1)):
        assert "`raw_shop`.`odd \\`names\\``" in statement


def test_the_insert_half_of_a_key_change_is_one_version_above_the_delete_half() -> None:
    assert "'lsn') + 1," in stream_insert(SHAPE, 1, 7, moved=True)
    assert "'lsn') + 1," not in stream_insert(SHAPE, 1, 7, moved=False)
