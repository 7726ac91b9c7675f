"""The main job as a person starts it, and what it leaves for machines to read."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import httpx

from services.kit.token_source import TokenSource
from stack.settings import ROOT
from tests.conftest import Stack


class Analytics:
    """The analytics service, as the demo's merchant asks it."""

    def __init__(self, stack: Stack) -> None:
        self._url = stack.env["ANALYTICS_URL"]
        self._auth = TokenSource(stack.env["SESSIONS_URL"], "demo", stack.env["DEMO_CLIENT_SECRET"])

    def ask(self, path: str) -> Any:
        answer = httpx.get(self._url + path, auth=self._auth, timeout=30, trust_env=False)
        return answer.raise_for_status().json()


def test_the_demo_ends_with_every_copy_equal(stack: Stack, tmp_path: Path) -> None:
    facts_file = tmp_path / "demo.json"
    environment = os.environ | {
        "MILLRACE_HOME": str(stack.settings.home),
        "MILLRACE_PORT_BASE": str(stack.settings.port_base),
    }
    done = subprocess.run(
        [sys.executable, "-m", "stack.commands.main", "demo", "--orders", "60", "--json", str(facts_file)],
        capture_output=True, text=True, cwd=ROOT, env=environment, check=False, timeout=280,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    facts = json.loads(facts_file.read_text())
    assert {table["table"] for table in facts["tables"]} >= {
        "users.public.users", "products.public.products", "products.public.stock", "orders.public.orders",
        "orders.public.order_items", "payments.public.payments",
    }  # fmt: skip
    assert all(table["equal"] and table["postgres"] == table["clickhouse"] for table in facts["tables"])
    assert [(d["index"], d["equal"], d["postgres"] == d["elasticsearch"]) for d in facts["documents"]] == [
        ("products", True, True)
    ]
    assert facts["checks"]["failed"] == 0
    assert facts["checks"]["passed"] > 20
    assert all(
        0 < facts["freshness_ms"][copy]["p50"] <= facts["freshness_ms"][copy]["p99"]
        for copy in ("clickhouse", "elasticsearch")
    )
    assert facts["urls"]["dagster"].startswith("http://127.0.0.1:")
    assert "every copy equals its source" in done.stdout
    analytics = Analytics(stack)
    assert sum(point["orders"] for point in analytics.ask("/revenue")["points"]) > 0
    assert analytics.ask("/cohorts")["cohorts"]
    funnel = analytics.ask("/funnel")
    assert funnel["sessions"] > funnel["steps"][0]["sessions"] > funnel["steps"][2]["sessions"] > 0
    assert "make down" in done.stdout
