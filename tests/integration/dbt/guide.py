"""The examples of docs/analysts.md, read out of the page and run as they stand there."""

import math
import re
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import pandas as pd  # type: ignore[import-untyped]
from clickhouse_connect.driver.client import Client

from stack.settings import ROOT

PAGE = ROOT / "docs" / "analysts.md"
_QUESTION = re.compile(r"(?s)^### (\w+): ([^\n]+)\n\n```sql\n(.*?)```\n\n```python\n(.*?)```", re.MULTILINE)


@dataclass(frozen=True)
class Question:
    """One question to a mart, in both languages."""

    mart: str
    asked: str
    sql: str
    pandas: str


def questions() -> list[Question]:
    """Every question of the page."""
    return [Question(*found.groups()) for found in _QUESTION.finditer(PAGE.read_text())]


def connected() -> Client:
    """The client that the page's first lines of Python make, with the addresses that stand in the environment."""
    names: dict[str, Any] = {}
    exec(PAGE.read_text().split("```python\n")[1].split("```")[0], names)
    client: Client = names["client"]
    return client


def answered(question: Question, client: Client) -> pd.DataFrame:
    """What the pandas lines answer."""
    names: dict[str, Any] = {"client": client}
    exec(question.pandas, names)
    answer: pd.DataFrame = names["answer"]
    return answer


def same(sql: pd.DataFrame, pandas: pd.DataFrame) -> None:
    """Fail unless both hold the same columns and the same rows in the same order; decimals to the last digit."""
    assert list(pandas.columns) == list(sql.columns)
    assert len(pandas) == len(sql)
    for number, (left, right) in enumerate(zip(sql.to_numpy(), pandas.to_numpy(), strict=True)):
        for column, a, b in zip(sql.columns, left, right, strict=True):
            assert _equal(a, b), f"row {number}, {column}: SQL says {a!r}, pandas {b!r}"


def _equal(left: Any, right: Any) -> bool:
    if pd.isna(left) or pd.isna(right):
        return bool(pd.isna(left) and pd.isna(right))
    if isinstance(left, float) or isinstance(right, float):
        return math.isclose(left, right, rel_tol=1e-12)
    if isinstance(left, Decimal) != isinstance(right, Decimal):
        return False
    return bool(left == right)
