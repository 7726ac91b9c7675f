"""Ids: version 7, and never one that sorts before an earlier one."""

import time
from uuid import RFC_4122

import pytest

from services.kit.ids import uuid7


def test_ids_are_version_7_of_the_standard_variant() -> None:
    made = uuid7()
    assert (made.version, made.variant) == (7, RFC_4122)
    assert abs((made.int >> 80) - time.time_ns() // 1_000_000) < 1000


def test_ids_rise_even_when_the_clock_stands_still(monkeypatch: pytest.MonkeyPatch) -> None:
    now = time.time_ns()
    monkeypatch.setattr(time, "time_ns", lambda: now)
    made = [uuid7() for _ in range(10_000)]
    assert made == sorted(set(made))
