"""Sagas a second of one and of two orchestrator processes, beside the same steps with nothing kept, in one run.

Each orchestrator is a process that places orders by itself, 16 at a time: the saga's steps against the running stack's
products, payments and mail server, without HTTP before them. The ceiling is the same flow whose engine only calls the
steps. All run on the machine that also runs the servers, so the second process shares its cores with them.
"""

import json
import os
import subprocess
import sys
from typing import Any
from uuid import uuid4

import httpx
import psycopg

from bench.report import Metric
from bench.steps import step
from services.kit.token_source import TokenSource

_SCHEMA = "dbos_bench"


def measure(sagas: int) -> list[Metric]:
    """Rates of ``sagas`` orders each."""
    env = dict(os.environ)
    given = _prepare(env)
    try:
        step(f"{sagas} orders by the steps alone")
        plain = _rate(_orchestrators(env, given, sagas, engine="none", names=("orders-0",)), sagas)
        step("by one orchestrator")
        one = _rate(_orchestrators(env, given, sagas, engine="dbos", names=("orders-0",)), sagas)
        step("by two orchestrators")
        two = _rate(_orchestrators(env, given, sagas, engine="dbos", names=("orders-0", "orders-1")), sagas)
    finally:
        with psycopg.connect(env["ORDERS_DSN"], autocommit=True) as connection:
            connection.execute(f"DROP SCHEMA IF EXISTS {_SCHEMA} CASCADE".encode())
    return [
        Metric("steps without durability, one process", round(plain, 1), "sagas/s"),
        Metric("one orchestrator", round(one, 1), "sagas/s", round(plain, 1), round(one / plain, 3)),
        Metric("two orchestrators", round(two, 1), "sagas/s", round(plain, 1), round(two / plain, 3)),
    ]


def _prepare(env: dict[str, str]) -> dict[str, str]:
    """A user and a product with enough stock."""
    auth = TokenSource(env["SESSIONS_URL"], "demo", env["DEMO_CLIENT_SECRET"])
    with httpx.Client(timeout=30, trust_env=False, auth=auth) as http:

        def make(service: str, path: str, body: dict[str, Any]) -> str:
            answer = http.post(env[f"{service}_URL"] + path, json=body)
            answer.raise_for_status()
            return str(answer.json()["id"])

        tag = uuid4().hex
        user = make("USERS", "/users", {"email": f"{tag}@example.org", "full_name": "Bench", "country": "DE"})
        category = make("PRODUCTS", "/categories", {"name": "Bench", "slug": f"bench-{tag}"})
        product = make(
            "PRODUCTS",
            "/products",
            {
                "sku": tag,
                "name": "Bench",
                "brand": "Bench",
                "category_id": category,
                "price": {"amount": "60.00"},
                "stock": 1_000_000,
            },
        )
    return {"user": user, "product": product}


def _orchestrators(
    env: dict[str, str], given: dict[str, str], sagas: int, *, engine: str, names: tuple[str, ...]
) -> list[dict[str, Any]]:
    """Run the processes side by side, each with its share; what each reports."""
    share = str(sagas // len(names))
    running = [
        subprocess.Popen(
            [sys.executable, "-m", "bench.saga_process", name, engine, _SCHEMA, share, given["user"], given["product"]],
            env=env,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for name in names
    ]
    for process in running:  # each says when it is warm; all begin together
        assert process.stdout is not None and process.stdout.readline() == "ready\n", "an orchestrator did not start"
    for process in running:
        assert process.stdin is not None
        process.stdin.write("go\n")
        process.stdin.flush()
    reports = [json.loads(process.communicate()[0]) for process in running]
    if any(process.returncode for process in running) or any(report["confirmed"] != int(share) for report in reports):
        raise RuntimeError(f"not every saga ended well: {reports}; `millrace logs orders` and `payments` say more")
    return reports


def _rate(reports: list[dict[str, Any]], sagas: int) -> float:
    seconds = max(report["ended"] for report in reports) - min(report["began"] for report in reports)
    return float(sagas // len(reports) * len(reports) / seconds)
