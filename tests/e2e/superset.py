"""Superset's API as a person's browser uses it, for tests."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import httpx


class Superset:
    """One who is logged in."""

    def __init__(self, client: httpx.Client) -> None:
        self.client = client

    def get(self, path: str) -> Any:
        """The answer's document; fails the test when it is no success."""
        answer = self.client.get(path)
        assert answer.status_code == 200, f"{path}: {answer.status_code} {answer.text[:500]}"
        return answer.json()

    def dashboards(self) -> set[str]:
        """The slugs that this user sees."""
        return {one["slug"] for one in self.get("/api/v1/dashboard/?q=(page_size:100)")["result"]}

    def charts(self) -> dict[str, int]:
        """The charts that this user sees: name -> id."""
        return {one["slice_name"]: one["id"] for one in self.get("/api/v1/chart/?q=(page_size:200)")["result"]}

    def dataset(self, mart: str) -> int:
        """The id of a dataset."""
        found = self.get("/api/v1/dataset/?q=(page_size:100)")["result"]
        return int(next(one["id"] for one in found if one["table_name"] == mart))

    def ask(self, mart: str, query: dict[str, Any]) -> list[dict[str, Any]]:
        """What a chart of the dataset would show: rows by the names of columns and metrics."""
        source = {"id": self.dataset(mart), "type": "table"}
        asked = {
            "datasource": source,
            "queries": [query],
            "result_type": "full",
            "result_format": "json",
            "force": True,
        }
        answer = self.client.post("/api/v1/chart/data", json=asked)
        assert answer.status_code == 200, answer.text[:500]
        rows: list[dict[str, Any]] = answer.json()["result"][0]["data"]
        return rows

    def sql(self, statement: str) -> httpx.Response:
        """What SQL Lab answers."""
        connections = self.get("/api/v1/database/?q=(filters:!((col:expose_in_sqllab,opr:eq,value:!t)))")["result"]
        (connection,) = [one["id"] for one in connections]
        asked = {"database_id": connection, "sql": statement, "runAsync": False, "schema": "analytics"}
        return self.client.post("/api/v1/sqllab/execute/", json=asked)


@contextmanager
def entered(url: str, user: str, password: str) -> Iterator[Superset]:
    """Log in, with the token that a form of the page carries."""
    with httpx.Client(base_url=url, timeout=120, trust_env=False) as client:
        given = {"username": user, "password": password, "provider": "db", "refresh": False}
        answer = client.post("/api/v1/security/login", json=given)
        assert answer.status_code == 200, answer.text
        client.headers["Authorization"] = f"Bearer {answer.json()['access_token']}"
        client.headers["X-CSRFToken"] = client.get("/api/v1/security/csrf_token/").json()["result"]
        client.headers["Referer"] = url
        yield Superset(client)
