"""Traces and the ids in log lines. What is exported is received by a collector of the test's own."""

import asyncio
import json
import logging
import subprocess
import sys
from collections.abc import Iterator

import httpx
import pytest
from fastapi import APIRouter

from services.kit import client, log, telemetry
from services.kit.http import application
from tests.otlp_collector import Collector

CALLER = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
CALLERS_TRACE = "0af7651916cd43dd8448eb211c80319c"

router = APIRouter()


@router.get("/orders/{order_id}")
async def read(order_id: str) -> dict[str, str]:
    log.bind(order_id=order_id)
    logging.getLogger("services.test").info("looked at")
    return telemetry.inject()


@pytest.fixture
def lines(capsys: pytest.CaptureFixture[str]) -> Iterator[list[dict[str, object]]]:
    """The log lines, once `ask` has been called."""
    written: list[dict[str, object]] = []
    handler = logging.Handler()
    formatter = log.JsonLines("test")
    handler.emit = lambda record: written.append(json.loads(formatter.format(record)))  # type: ignore[method-assign]
    logger = logging.getLogger("services")
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    yield written
    logger.removeHandler(handler)
    logger.setLevel(logging.NOTSET)


def ask(path: str, **headers: str) -> dict[str, str]:
    async def run() -> dict[str, str]:
        app = application("test", router)
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://test") as http:
            carried: dict[str, str] = (await http.get(path, headers=headers)).json()
            return carried

    return asyncio.run(run())


def test_a_callers_trace_goes_on(lines: list[dict[str, object]]) -> None:
    carried = ask("/orders/7", traceparent=CALLER, tracestate="vendor=1")
    assert carried["traceparent"].split("-")[1] == CALLERS_TRACE
    assert carried["tracestate"] == "vendor=1"
    assert [(line["message"], line["trace_id"], line["order_id"]) for line in lines] == [
        ("looked at", CALLERS_TRACE, "7"),
        ("request", CALLERS_TRACE, "7"),
    ]


@pytest.mark.parametrize("headers", [{}, {"traceparent": "nonsense"}, {"traceparent": f"00-{'0' * 32}-{'0' * 16}-01"}])
def test_without_a_trace_one_begins(headers: dict[str, str], lines: list[dict[str, object]]) -> None:
    traces = [ask("/orders/7", **headers)["traceparent"].split("-")[1] for _ in range(2)]
    assert len(set(traces)) == 2
    assert {line["trace_id"] for line in lines} == set(traces)


def test_fields_end_with_their_request(lines: list[dict[str, object]]) -> None:
    ask("/orders/7")
    ask("/nowhere")
    assert "order_id" not in lines[-1]


def test_what_is_queued_is_worked_on_in_its_trace() -> None:
    with telemetry.continued({"traceparent": CALLER}, "place order"):
        queued = telemetry.inject()
    assert telemetry.trace_id() is None
    with telemetry.continued(queued, "send mail"):
        assert telemetry.trace_id() == CALLERS_TRACE


def test_calls_carry_the_trace() -> None:
    with telemetry.continued({"traceparent": CALLER}, "request"), telemetry.calling("users", "GET"):
        assert client._headers()["traceparent"].split("-")[1] == CALLERS_TRACE


EXPORTING = """
import asyncio, httpx
from fastapi import APIRouter
from services.kit import telemetry
from services.kit.http import application
from tests.otlp_collector import Collector

telemetry.configure("shop")
router = APIRouter()

@router.get("/things/{thing_id}")
async def read(thing_id: str) -> str:
    return thing_id

async def main() -> None:
    transport = httpx.ASGITransport(application("test", router))
    async with httpx.AsyncClient(transport=transport, base_url="http://test") as http:
        await http.get("/things/7", headers={"traceparent": "%s"})

asyncio.run(main())
telemetry.shutdown()
import sys
print("opentelemetry.exporter" in sys.modules, "opentelemetry.sdk.trace" in sys.modules)
"""


def run_exporting(**environment: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", EXPORTING % CALLER], env=environment, capture_output=True, text=True, check=True
    )
    return done.stdout.strip()


def test_spans_go_to_the_collector_that_is_named() -> None:
    with Collector() as collector:
        run_exporting(**collector.settings)
    [span] = collector.spans
    assert (span.service, span.name, span.trace) == ("shop", "GET /things/{thing_id}", CALLERS_TRACE)


def test_without_a_collector_no_exporter_is_even_loaded() -> None:
    assert run_exporting() == "False False"
