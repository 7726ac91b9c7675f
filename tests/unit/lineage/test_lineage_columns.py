"""What sqlglot is asked about one SELECT of ClickHouse's."""

import pytest

from lineage.columns import trace

SCHEMA = {"shop": {"orders": {"id": "UUID", "status": "String", "total": "Decimal(12, 2)", "tags": "Array(String)"}}}
TOTAL, STATUS, ID, ROWS = (
    ("shop.orders", "total"),
    ("shop.orders", "status"),
    ("shop.orders", "id"),
    ("shop.orders", "*"),
)


@pytest.mark.parametrize(
    ("sql", "made_of"),
    [
        ("select total as made from shop.orders", {TOTAL}),
        ("select status = 'A' as sale, if(sale, total, 0) as made from shop.orders", {STATUS, TOTAL}),
        ("with o as (select id, total * 2 as twice from shop.orders) select o.twice as made from o", {TOTAL}),
        ("select made from (select total as made from shop.orders union all select id from shop.orders)", {TOTAL, ID}),
        ("select arrayMap(x -> concat(x, status), tags) as made from shop.orders", {STATUS, ("shop.orders", "tags")}),
        ("select sumIf(total, status = 'A') as made from shop.orders final group by id", {TOTAL, STATUS}),
        ("select upper(tag) as made from shop.orders array join tags as tag", {("shop.orders", "tags")}),
        ("select made from shop.orders left array join [1, 2] as n, tags as made", {("shop.orders", "tags")}),
        ("select sum(total) over later as made from shop.orders window later as (partition by id)", {TOTAL}),
        ("select count() as made from shop.orders where status = 'A'", {ROWS, STATUS}),
        ("select o.* except (id), 1 as made from shop.orders as o", set()),
        ("select made from raw.unknown", {("raw.unknown", "made")}),
    ],
)
def test_a_column_is_made_of(sql: str, made_of: set[tuple[str, str]]) -> None:
    traced = trace(sql, SCHEMA)
    assert (traced.columns["made"], traced.unresolved) == (made_of, [])


@pytest.mark.parametrize(
    "sql",
    [
        "select id from shop.orders where status = 'A'",
        "select any(id) as id from shop.orders group by status",
        "select o.id as id from shop.orders as o left join shop.orders as p on p.status = o.id",
        "select id from shop.orders where id in (select id from shop.orders where status = 'A')",
        "select id, row_number() over w as n from shop.orders window w as (partition by status)",
        "with o as (select id from shop.orders where status = 'A') select id from o",
    ],
)
def test_what_filters_joins_and_groups_decides_the_rows(sql: str) -> None:
    traced = trace(sql, SCHEMA)
    assert traced.columns["id"] == {ID}
    assert {ROWS, STATUS} <= traced.rows


def test_what_cannot_be_resolved_is_said() -> None:
    traced = trace("select nothing as made, total from shop.orders", SCHEMA)
    assert traced.unresolved == ["nothing"]
    assert traced.columns["total"] == {TOTAL}
    gone = trace("select o.nothing as made from shop.orders as o", SCHEMA)
    assert gone.unresolved == ["sqlglot cannot read it: Unknown column: nothing"]
    assert trace("select from where", SCHEMA).unresolved[0].startswith("sqlglot cannot read it: ")
