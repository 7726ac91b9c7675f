"""A bench that is ended gives back what it made of its own."""

import os
import subprocess
import sys
from pathlib import Path

import psycopg

from cdc import state as engine_state
from cdc.settings import settings
from stack.settings import ROOT
from tests.conftest import Stack
from tests.integration.cdc.waiting import eventually

MILLRACE = str(Path(sys.executable).with_name("millrace"))


def test_a_bench_that_is_ended_leaves_neither_source_nor_database(stack: Stack, engine: None) -> None:
    command = [MILLRACE, "bench", "verify", "--rows", "300000"]
    with subprocess.Popen(
        command, env=os.environ | stack.env, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as bench:
        try:
            eventually(lambda: bench.poll() is not None or captured(), "the bench's source is captured")
        finally:
            bench.terminate()
        said, _ = bench.communicate(timeout=120)
    assert bench.returncode == 143, said
    assert "copy them" in said and "Traceback" not in said
    assert not captured()
    with psycopg.connect(os.environ["POSTGRES_ADMIN_DSN"]) as admin:
        left = admin.execute(
            "SELECT datname FROM pg_database WHERE datname = 'bench' "
            "UNION ALL SELECT slot_name FROM pg_replication_slots WHERE slot_name LIKE '%bench%'"
        ).fetchall()
    assert left == []


def captured() -> bool:
    with engine_state.connect(settings().millrace_state_dsn) as state:
        return engine_state.find_source(state, "bench") is not None
