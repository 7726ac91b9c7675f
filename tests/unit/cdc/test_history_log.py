"""The statements by which a log follows its raw table and the table's shape."""

from dataclasses import replace

import pytest

from cdc.catalog import Column, Shape
from cdc.sinks.clickhouse import history, raw_table
from cdc.version import Version

ID = Column("id", "int4", nullable=False, number=1)
NAME = Column("name", "text", nullable=False, number=2)
TAGS = Column("tags", "_text", nullable=False, element="text", number=3)
SHAPE = Shape("shop", "public", "items", (ID, NAME, TAGS), ("id",), relation=77, history=True)


def test_a_log_refuses_no_null_but_where_a_column_would_be_kept_otherwise_then() -> None:
    kinds = history.columns_of(SHAPE)
    assert (kinds["id"], kinds["name"], kinds["tags"]) == ("Int32", "Nullable(String)", "Array(Nullable(String))")
    statement = history.create_statement(SHAPE)
    assert "ENGINE = ReplacingMergeTree ORDER BY (`id`, `_version`)" in statement
    assert "`name` Nullable(String) COMMENT 'column 2 of table 77'" in statement


def test_an_insert_goes_into_the_log_as_it_goes_into_the_table() -> None:
    statement = raw_table.copy_insert(SHAPE, 1, 2)
    assert history.statement_into_log(SHAPE, statement) == statement.replace("`items`", "`items__history`", 1)
    anew = replace(SHAPE, staged=True)
    assert history.statement_into_log(anew, raw_table.copy_insert(anew, 1, 2)).startswith(
        "INSERT INTO `raw_shop`.`items__history` ("
    )
    with pytest.raises(ValueError, match="not an insert into its raw table"):
        history.statement_into_log(SHAPE, "INSERT INTO other SELECT 1")


def test_a_truncate_is_told_by_the_log_and_the_end_of_a_copy_by_the_table() -> None:
    """Reason: a copy's rows are taken out of the log again where they changed nothing, so it does not know which rows were copied."""
    truncate, copy = Version(1, 500, 600).pack(), Version(1, 500, 0).pack()
    assert "FROM `raw_shop`.`items__history`" in history.end_statement(SHAPE, truncate, 3)
    assert "FROM `raw_shop`.`items` FINAL" in history.end_statement(SHAPE, copy, 3)


@pytest.mark.parametrize(
    ("kind", "wider", "holds"),
    [
        ("Nullable(Int32)", "Nullable(Int64)", True),
        ("Nullable(Int64)", "Nullable(Int32)", False),
        ("Nullable(Decimal(10, 2))", "Nullable(Decimal(12, 2))", True),
        ("Nullable(Decimal(10, 2))", "Nullable(Decimal(12, 4))", True),
        ("Nullable(Decimal(10, 2))", "Nullable(Decimal(11, 4))", False),
        ("Nullable(Int32)", "Nullable(String)", False),
        ("Nullable(String)", "Nullable(String)", True),
        ("Array(Nullable(String))", "Nullable(String)", False),
    ],
)
def test_a_column_is_altered_in_place_only_where_it_holds_every_former_value(
    kind: str, wider: str, holds: bool
) -> None:
    assert history._holds(kind, wider) is holds
