"""Running dbt against databases of one's own, and reading what came out."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from clickhouse_connect.driver.client import Client
from dbt.cli.main import dbtRunner, dbtRunnerResult

from pipelines.lib.manifest import PROJECT
from tests.integration.dbt.shop import Shop

FACTS = {
    "fct_orders": "int_orders",
    "fct_order_items": "int_order_items",
    "fct_payments": "int_payments",
    "fct_ledger_entries": "int_ledger_entries",
    "fct_inventory_movements": "int_inventory_movements",
}
"""Every incremental mart with the view that holds its logic."""


class DbtFailed(AssertionError):
    """A dbt command that had to succeed did not; names the nodes."""


@dataclass
class Warehouse:
    """Runs dbt against its own databases and reads what came out."""

    client: Client
    shop: Shop
    database: str
    target: Path

    def dbt(self, *arguments: str) -> dbtRunnerResult:
        folders = ["--project-dir", str(PROJECT), "--profiles-dir", str(PROJECT), "--target-path", str(self.target)]
        return dbtRunner().invoke(["--quiet", "--log-level-file", "none", *arguments, *folders])

    def run(self, *arguments: str) -> dict[str, str]:
        """Runs a dbt command that must succeed; status of each node by its name."""
        outcome = self.dbt(*arguments)
        statuses = {result.node.name: str(result.status) for result in getattr(outcome.result, "results", [])}
        if not outcome.success:
            broken = {name: status for name, status in statuses.items() if status in ("error", "fail")}
            raise DbtFailed(f"dbt {' '.join(arguments)}: {broken or outcome.exception}")
        return statuses

    def facts(self, *arguments: str) -> None:
        """Builds the incremental marts, on views that are there already."""
        self.run("run", "--select", "config.materialized:incremental", "--exclude", "tag:daily", *arguments)

    def value(self, query: str) -> Any:
        return self.rows(query)[0][0]

    def rows(self, query: str) -> Sequence[Sequence[Any]]:
        return self.client.query(query.replace("{db}", self.database)).result_rows

    def checksum(self, relation: str) -> tuple[int, int]:
        """Rows and a hash over every column but the time of loading, whatever the order of rows.

        Of a tuple, because a hash over columns is NULL as soon as one of them is.
        """
        columns = "* except _loaded_at" if relation.rpartition(".")[2] in FACTS else "*"
        ((count, checksum),) = self.rows(f"select count(), sum(sipHash64(tuple({columns}))) from {relation}")
        return count, checksum

    def assert_follows_source(self) -> None:
        """Each incremental mart holds exactly what a rebuild from nothing would give."""
        for fact, logic in FACTS.items():
            assert self.checksum(f"{self.database}.{fact}") == self.checksum(f"{self.database}_intermediate.{logic}"), (
                fact
            )
