"""The code location in this process, recorded in the stack's own Dagster instance."""

import os
import socket
import threading
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import dagster as dg

QUIET = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}


@dataclass
class Location:
    """Runs jobs of the location here and now; every run stands in the instance as any other."""

    instance: dg.DagsterInstance

    def run(
        self,
        job: str,
        assets: Sequence[Sequence[str]] = (),
        ops: Mapping[str, Any] | None = None,
        tags: Mapping[str, str] | None = None,
    ) -> dg.ExecuteInProcessResult:
        from pipelines.definitions import defs

        with warnings.catch_warnings():
            warnings.filterwarnings(
                "ignore", "AssetExecutionContext.op", DeprecationWarning
            )  # asked for by dagster-dbt
            return defs.resolve_job_def(job).execute_in_process(
                instance=self.instance,
                raise_on_error=False,
                run_config=QUIET | ({"ops": dict(ops)} if ops else {}),
                asset_selection=[dg.AssetKey(list(key)) for key in assets] or None,
                tags=dict(tags or {}),
            )

    def tags_of(self, run: dg.ExecuteInProcessResult) -> Mapping[str, str]:
        """The run's tags as the instance has them now."""
        record = self.instance.get_run_by_id(run.run_id)
        assert record is not None
        return record.tags


def built(run: dg.ExecuteInProcessResult) -> set[str]:
    """Names of the assets that the run materialized."""
    events = run.get_asset_materialization_events()
    return {event.asset_key.path[-1] for event in events if event.asset_key is not None}


def reasons(run: dg.ExecuteInProcessResult) -> list[str]:
    """What the failed steps died of."""
    return [
        str(event.step_failure_data.error.message)
        for event in run.all_events
        if event.is_step_failure and event.step_failure_data.error
    ]


@contextmanager
def settings(changed: Mapping[str, str]) -> Iterator[None]:
    """These variables in the environment of this process for the block."""
    before = {key: os.environ.get(key) for key in changed}
    os.environ.update(changed)
    try:
        yield
    finally:
        for key, value in before.items():
            if value is None:
                os.environ.pop(key, None)
            else:
                os.environ[key] = value


class Gate:
    """An address that refuses until it is opened, and from then on leads to a server."""

    def __init__(self, url: str) -> None:
        self._to = (urlsplit(url).hostname or "", urlsplit(url).port or 0)
        self._listener = socket.socket()
        self._listener.bind(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"

    def open(self) -> None:
        self._listener.listen()
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        self._listener.close()

    def _accept(self) -> None:
        while True:
            try:
                inside, _ = self._listener.accept()
            except OSError:
                return
            outside = socket.create_connection(self._to)
            for source, target in ((inside, outside), (outside, inside)):
                threading.Thread(target=_pump, args=(source, target), daemon=True).start()


def _pump(source: socket.socket, target: socket.socket) -> None:
    try:
        while data := source.recv(65536):
            target.sendall(data)
    except OSError:
        pass
    finally:
        source.close()
        target.close()
