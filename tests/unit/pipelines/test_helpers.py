"""Pure helpers of the code location."""

import subprocess
import sys
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import pytest

from cdc.verify import TableProof
from pipelines.defs.cdc.raw_tables import lag_metadata, lag_query
from pipelines.defs.cdc.reconciliation import NotProvenError, results_of
from pipelines.defs.warehouse.marts import Build, build_arguments
from pipelines.lib.captured import CapturedTable
from pipelines.lib.exclusive import exclusive
from pipelines.lib.manifest import PROJECT, content_stamp
from pipelines.lib.translator import asset_key, group_name
from pipelines.run import reason

ORDERS = CapturedTable("orders", "orders")


def proof_of(source: str = "orders", differing: int = 0) -> TableProof:
    keys = tuple((str(number),) for number in range(differing))
    return TableProof(source, "public.orders", 3, 3, lsn=1, differing=differing, differing_keys=keys)


def test_a_table_outside_public_is_named_with_its_schema() -> None:
    assert ORDERS.topic == "orders.public.orders"
    assert CapturedTable("orders", "audit__entries").topic == "orders.audit.entries"


def test_assets_are_named_by_source_and_layer() -> None:
    mart = {"resource_type": "model", "fqn": ["millrace", "marts", "sales", "fct_orders"], "name": "fct_orders"}
    source = {"resource_type": "source", "source_name": "raw_orders", "name": "orders"}
    assert asset_key(mart) == ["analytics", "fct_orders"]
    assert asset_key(source) == ["raw_orders", "orders"]
    assert group_name(mart) == "sales"


def test_one_dbt_call_builds_whatever_was_chosen() -> None:
    assert build_arguments(Build()) == ["build", "--exclude-resource-type", "unit_test"]
    assert build_arguments(Build(full_refresh=True))[-1] == "--full-refresh"


def test_a_difference_fails_the_check_and_names_the_keys() -> None:
    (result,) = results_of([ORDERS], [proof_of(differing=30)])
    assert not result.passed
    assert result.metadata["differing"].value == 30
    assert result.metadata["differing_keys"].value == [str((str(number),)) for number in range(20)]


def test_a_table_without_proof_is_no_verdict() -> None:
    with pytest.raises(NotProvenError, match=r"orders\.public\.orders"):
        list(results_of([ORDERS], [proof_of(source="users")]))


def test_lag_of_an_empty_table_has_no_age() -> None:
    empty = {"versions": 0, "last_batch": 0, "recent": 0}
    assert lag_metadata(empty) == {"versions": 0, "last_batch": 0, "recent_changes": 0}
    busy = {
        "versions": 2,
        "last_batch": 9,
        "recent": 1,
        "newest_commit": datetime(2026, 1, 1, tzinfo=UTC),
        "newest_commit_age_s": 1.5,
        "ingest_ms": [20, 90],
    }
    assert lag_metadata(busy)["ingest_lag_p99_ms"] == 90.0
    assert lag_query([ORDERS, ORDERS]).count("UNION ALL") == 1


def test_the_stamp_follows_every_file_that_dbt_reads(tmp_path: Path) -> None:
    (tmp_path / "models").mkdir()
    model = tmp_path / "models" / "one.sql"
    model.write_text("select 1")
    first = content_stamp(tmp_path)
    (tmp_path / "target").mkdir()
    (tmp_path / "target" / "manifest.json").write_text("{}")
    assert content_stamp(tmp_path) == first
    model.rename(tmp_path / "models" / "two.sql")
    assert content_stamp(tmp_path) != first


def test_the_reason_is_the_cause_not_its_wrapping() -> None:
    @dataclass
    class Error:
        message: str
        cause: "Error | None" = None

    assert reason(Error("wrapped", Error("broker is away\nstack"))) == "broker is away"
    assert reason(None) == "no reason given"


def test_builds_of_one_warehouse_exclude_each_other_and_a_killed_one_lets_go(tmp_path: Path) -> None:
    hold = "import sys, time; from pathlib import Path; from pipelines.lib.exclusive import exclusive\n"
    hold += "with exclusive(Path(sys.argv[1]), 'one', lambda: None):\n    print('held', flush=True); time.sleep(60)"
    holder = subprocess.Popen([sys.executable, "-c", hold, str(tmp_path)], cwd=PROJECT.parent, stdout=subprocess.PIPE)
    assert holder.stdout
    with holder.stdout:
        assert holder.stdout.readline() == b"held\n"
        with exclusive(tmp_path, "another", lambda: pytest.fail("waited for another warehouse")):
            pass
        waited = []

        def end_the_holder() -> None:
            waited.append(True)
            holder.kill()

        with exclusive(tmp_path, "one", end_the_holder):
            assert waited == [True]
    holder.wait()
