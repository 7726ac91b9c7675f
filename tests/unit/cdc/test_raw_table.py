"""Raw tables: what is declared for a shape, and how strictly values are taken."""

import pytest

from cdc.catalog import Column, Shape
from cdc.errors import ConfigurationError
from cdc.sinks.clickhouse.raw_table import columns_of, copy_insert, create_statement, stream_insert
from cdc.types import clickhouse_type


def column(
    name: str, kind: str, *, nullable: bool = False, precision: int | None = None, scale: int | None = None
) -> Column:
    return Column(name, kind, nullable, precision, scale)


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
        (column("c", "_text"), "Array(Nullable(String))"),
    ],
)
def test_types_never_truncate(given: Column, expected: str) -> None:
    assert clickhouse_type(given) == expected


@pytest.mark.parametrize("kind", ["point", "interval", "_numeric"])
def test_a_type_without_a_proven_mapping_is_refused(kind: str) -> None:
    with pytest.raises(ConfigurationError, match=f"{kind}.*exclude the table"):
        clickhouse_type(column("c", kind))


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
    assert "source.lsn + 1," in stream_insert(SHAPE, 1, 7, moved=True)
    assert "source.lsn + 1," not in stream_insert(SHAPE, 1, 7, moved=False)
