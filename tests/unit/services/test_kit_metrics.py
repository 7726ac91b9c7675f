"""Metrics of requests: by template, never by path, and readable by Prometheus."""

import asyncio

import httpx
from fastapi import APIRouter
from prometheus_client import REGISTRY
from prometheus_client.parser import text_string_to_metric_families

from services.kit.http import application

router = APIRouter()


@router.get("/things/{thing_id}/parts")
async def parts(thing_id: str) -> str:
    return thing_id


@router.get("/busy")
async def busy() -> float | None:
    return REGISTRY.get_sample_value("millrace_http_requests_in_flight")


async def _ask(*requests: tuple[str, str]) -> str:
    app = application("test", router)
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://test") as client:
        for method, path in requests:
            await client.request(method, path)
        return (await client.get("/metrics")).text


def samples(text: str, name: str) -> dict[tuple[tuple[str, str], ...], float]:
    return {
        tuple(sorted(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
        if sample.name == name
    }


def count(text: str, method: str, route: str, status: str) -> float:
    labels = (("method", method), ("route", route), ("status", status))
    return samples(text, "millrace_http_requests_total").get(labels, 0)


def test_requests_are_counted_by_template_method_and_status() -> None:
    before = asyncio.run(_ask())
    after = asyncio.run(
        _ask(("GET", "/things/1/parts"), ("GET", "/things/2/parts"), ("GET", "/nowhere/3"), ("BREW", "/things/1/parts"))
    )
    route = "/things/{thing_id}/parts"
    assert count(after, "GET", route, "200") - count(before, "GET", route, "200") == 2
    assert count(after, "GET", "none", "404") - count(before, "GET", "none", "404") == 1
    assert not any("/things/1" in str(labels) for labels in samples(after, "millrace_http_requests_total"))
    assert not any("BREW" in str(labels) for labels in samples(after, "millrace_http_requests_total"))
    seconds = samples(after, "millrace_http_request_seconds_count")
    assert seconds[("method", "GET"), ("route", route)] >= 2


def test_a_request_is_in_flight_until_it_is_answered() -> None:
    async def run() -> float:
        transport = httpx.ASGITransport(application("test", router))
        async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
            during: float = (await client.get("/busy")).json()
            return during

    assert asyncio.run(run()) == 1
    assert asyncio.run(busy()) == 0


def test_health_and_metrics_are_not_counted() -> None:
    text = asyncio.run(_ask(("GET", "/livez"), ("GET", "/metrics")))
    routes = {dict(labels)["route"] for labels in samples(text, "millrace_http_requests_total")}
    assert not routes & {"/livez", "/metrics"}
