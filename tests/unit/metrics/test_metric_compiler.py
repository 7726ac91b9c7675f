"""Questions about metrics as SQL, and questions that are refused."""

import re

import pytest

from metrics.compiler import Filter, Question, render
from metrics.contracts import contracts
from metrics.definitions import load
from metrics.metric import MetricError

METRICS = load(contracts())


def test_a_question_is_rendered_with_typed_parameters_and_qualified_columns() -> None:
    asked = Question(("orders", "gross_revenue"), by=("currency",), grain="month", ranged=True)
    made = render(METRICS, asked, "analytics")
    assert made.sql == (
        "SELECT\n"
        "    toDate32(toStartOfMonth(mart.day)) AS month,\n"
        "    mart.currency AS currency,\n"
        "    sum(mart.orders) AS orders,\n"
        "    sum(mart.gross_revenue) AS gross_revenue\n"
        "FROM analytics.rpt_revenue_daily AS mart\n"
        "WHERE toDate32(mart.day) BETWEEN {first:Date32} AND {last:Date32}\n"
        "GROUP BY toDate32(toStartOfMonth(mart.day)), mart.currency\n"
        "ORDER BY toDate32(toStartOfMonth(mart.day)), mart.currency"
    )
    assert made.columns == ("month", "currency", "orders", "gross_revenue")


def test_values_travel_beside_the_sql() -> None:
    hostile = "EUR' OR 1 = 1 --"
    held = (
        Filter("method", "in", ["card", hostile]),
        Filter("method", "!=", hostile),
        Filter("currency", "=", hostile),
    )
    made = render(METRICS, Question(("decline_rate",), filters=held))
    assert hostile not in made.sql
    assert made.parameters == {"method": ["card", hostile], "method_2": hostile, "currency": hostile}
    assert re.findall(r"mart\.\w+ \S+ \{.*?\}", made.sql) == [
        "mart.method IN {method:Array(String)}", "mart.method != {method_2:String}", "mart.currency = {currency:String}"
    ]  # fmt: skip


def test_a_ratio_is_made_of_sums() -> None:
    value = render(METRICS, Question(("average_order_value",), by=("currency",))).sql
    assert "CAST(sum(mart.gross_revenue) AS Decimal(38, 6)) / nullIf(sum(mart.orders), 0)" in value
    share = render(METRICS, Question(("conversion_rate",), grain="week")).sql
    assert "toFloat64(countIf(mart.is_converted)) / nullIf(toFloat64(count()), 0) AS conversion_rate" in share
    every = [
        render(METRICS, Question((one.name,), by=tuple(sorted(one.requires)))).sql for one in METRICS.by_name.values()
    ]
    assert [sql for sql in every if re.search(r"(?i)\bavg", sql)] == []


@pytest.mark.parametrize(
    ("question", "refusal"),
    [
        (Question(()), "ask for at least one metric"),
        (Question(("orders", "orders")), "and for each once"),
        (Question(("revenue",)), "there is no metric revenue; dbt/metrics.yml has "),
        (Question(("orders", "visits")), "orders is made of rpt_revenue_daily, visits of fct_sessions"),
        (
            Question(("orders",), by=("channel; DROP",)),
            "channel; DROP is no dimension of rpt_revenue_daily; it has: currency",
        ),
        (Question(("visits",), by=("currency",)), "it has: none"),
        (Question(("gross_revenue",)), "gross_revenue needs currency: group by it or hold it to one value"),
        (Question(("gross_revenue",), filters=(Filter("currency", "in", ["EUR", "CHF"]),)), "needs currency"),
        (Question(("average_order_value",)), "average_order_value needs currency"),
        (Question(("known_customers",), grain="day"), "dim_customers has no time"),
        (Question(("orders",), grain="hour"), "there is no grain hour"),  # type: ignore[arg-type]
        (Question(("orders",), filters=(Filter("currency", "like", "E%"),)), "no operator like"),  # type: ignore[arg-type]
    ],
)
def test_a_question_without_a_right_answer_is_refused(question: Question, refusal: str) -> None:
    with pytest.raises(MetricError, match=re.escape(refusal)) as refused:
        render(METRICS, question)
    assert "\n" not in str(refused.value)
