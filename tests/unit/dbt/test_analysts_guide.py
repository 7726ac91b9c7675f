"""docs/analysts.md against the manifest and ClickHouse's users: every mart is there, and what is said to be hidden is."""

import json
import re
from typing import Any

import pytest

from pipelines.lib.manifest import ensure_manifest
from stack.processes.clickhouse_users import (
    ANALYST_AT_ONCE,
    ANALYST_LIMITS,
    ANALYST_QUOTA,
    HIDDEN_COLUMNS,
    HIDDEN_ROWS,
    HIDDEN_TABLES,
)
from tests.integration.dbt.guide import PAGE, Question, questions

MANIFEST: dict[str, Any] = json.loads(ensure_manifest().read_bytes())
NODES: dict[str, Any] = MANIFEST["nodes"]
MARTS = {
    node["name"]: node for node in NODES.values() if node["fqn"][1] == "marts" and node["resource_type"] == "model"
}
TEXT = PAGE.read_text()


def section(heading: str) -> str:
    """What stands under a heading of the second level."""
    return TEXT.split(f"\n## {heading}\n")[1].split("\n## ")[0]


def sources(node: str) -> set[str]:
    """Every source that a model is made of."""
    above = MANIFEST["parent_map"].get(node, [])
    return {name for name in above if name.startswith("source.")}.union(*(sources(name) for name in above))


def test_the_page_lists_every_mart_as_dbt_describes_it() -> None:
    listed = re.findall(r"^\| (\w+) \| `(\w+)` \| (.*) \|$", section("What there is"), re.MULTILINE)
    assert listed == sorted((mart["fqn"][2], name, mart["description"]) for name, mart in MARTS.items())


def test_every_mart_has_a_question() -> None:
    assert {question.mart for question in questions()} == set(MARTS)
    assert len(questions()) == TEXT.count("\n### "), "a question that is written otherwise would not be tested"


@pytest.mark.parametrize("question", questions(), ids=lambda question: question.mart)
def test_a_question_is_asked_of_its_mart_in_both_languages(question: Question) -> None:
    assert question.asked.endswith("?")
    assert re.search(rf"\b{question.mart}\b", question.sql) and re.search(rf"\b{question.mart}\b", question.pandas)


def test_what_is_hidden_is_there_and_the_page_says_so() -> None:
    told = section("What is hidden")
    for mart, columns in HIDDEN_COLUMNS.items():
        assert set(columns) <= set(MARTS[mart]["columns"])
        assert all(f"`{name}`" in told for name in (mart, *columns))
    assert set(HIDDEN_ROWS) <= set(MARTS)
    assert all(f"`{name}`" in told for name in (*HIDDEN_ROWS, *HIDDEN_TABLES))


def test_no_mart_of_visits_says_who_came() -> None:
    """Reason: events of a visit are kept when the customer is erased."""
    visits = {
        name
        for name, mart in MARTS.items()
        if "source.millrace.raw_clickstream.events" in sources(mart["unique_id"]) and "customer_id" in mart["columns"]
    }
    assert visits == {name for name, columns in HIDDEN_COLUMNS.items() if "customer_id" in columns}


def test_what_was_typed_is_hidden() -> None:
    typed = {"query", "normalized_query", "reason"}
    seen = {
        f"{name}.{column}"
        for name, mart in MARTS.items()
        if name not in HIDDEN_ROWS
        for column in typed & set(mart["columns"])
        if column not in HIDDEN_COLUMNS.get(name, ())
    }
    assert seen == {"fct_inventory_movements.reason"}, "why goods were counted, not about a person"


def test_the_page_names_every_limit() -> None:
    told = section("Limits")
    assert dict(re.findall(r"^\| `(\w+)` \| ([\d,]+) \|$", told, re.MULTILINE)) == {
        name: f"{most:,}" for name, most in ANALYST_LIMITS.items()
    }
    assert all(f"{most:,} `{name}`" in told for name, most in ANALYST_QUOTA.items())
    assert f"{ANALYST_AT_ONCE} questions at a time" in told
