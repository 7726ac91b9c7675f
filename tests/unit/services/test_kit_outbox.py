"""Events: what cannot be told exactly, or has no topic, is refused before it is written."""

import asyncio
from typing import Any

import pytest
from opentelemetry import trace
from opentelemetry.trace import NonRecordingSpan, SpanContext, TraceFlags

from services.kit.ids import uuid7
from services.kit.outbox import _event, publish


class Nowhere:
    """A transaction that nothing may reach."""

    async def execute(self, *_: Any) -> None:
        raise AssertionError("it was written")


@pytest.mark.parametrize("aggregate", ["", "Orders", "or.ders", "9", "o" * 70])
def test_an_aggregate_that_names_no_topic_is_refused(aggregate: str) -> None:
    with pytest.raises(ValueError, match="names no aggregate"):
        asyncio.run(publish(Nowhere(), aggregate, "1", "placed", {}))  # type: ignore[arg-type]


@pytest.mark.parametrize("value", [1.5, {"deep": [1, 0.1]}, [{"x": float("nan")}], 2**63])
def test_a_number_that_readers_would_read_differently_is_refused(value: object) -> None:
    with pytest.raises(ValueError, match="write it as text"):
        asyncio.run(publish(Nowhere(), "orders", "1", "placed", {"value": value}))  # type: ignore[arg-type]


def test_an_event_carries_the_trace_that_it_was_made_in() -> None:
    context = SpanContext(0xAB, 0xCD, is_remote=False, trace_flags=TraceFlags(1))
    with trace.use_span(NonRecordingSpan(context)):
        event = _event(uuid7(), "orders", "1", "placed", {"number": 1})
    assert event["headers"]["traceparent"] == f"00-{0xAB:032x}-{0xCD:016x}-01"
