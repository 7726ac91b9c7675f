"""Kafka Connect's REST interface: the few calls that the engine needs, with its errors as ours."""

import time
from typing import Any

import httpx

from cdc.errors import PermanentError, TransientError

_STOP_PATIENCE = 30.0
_BUSY_PATIENCE = 15.0
_POLL = 0.1
_CAUSE = "Caused by: "


class ConnectClient:
    """A client for one Connect cluster. Every call raises `TransientError` while Connect is down or rebalancing."""

    def __init__(self, url: str, timeout: float = 30) -> None:
        # reading the certificates of the world takes 30 ms of a core: only where they are asked for
        self._http = httpx.Client(base_url=url, timeout=timeout, verify=url.startswith("https:"))
        self._url = url

    def close(self) -> None:
        """End the connections."""
        self._http.close()

    def config(self, name: str) -> dict[str, str] | None:
        """The configuration of a connector, or None when there is no such connector."""
        found = self._call("GET", f"/connectors/{name}/config", missing_ok=True)
        return None if found is None else {key: str(value) for key, value in found.items() if key != "name"}

    def put(self, name: str, config: dict[str, str]) -> None:
        """Create a connector or replace its configuration."""
        self._call("PUT", f"/connectors/{name}/config", json=config)

    def remove(self, name: str) -> None:
        """Remove a connector and its offsets: a later one of the same name starts anew."""
        if self.config(name) is None:
            return
        self.stop(name)
        self.forget_position(name)
        self._call("DELETE", f"/connectors/{name}")

    def stop(self, name: str) -> None:
        """Stop a connector; returns once it has let go of its source."""
        self._call("PUT", f"/connectors/{name}/stop")
        deadline = time.monotonic() + _STOP_PATIENCE
        while self._call("GET", f"/connectors/{name}/status")["connector"]["state"] != "STOPPED":
            if time.monotonic() > deadline:
                raise TransientError(f"connector {name} did not stop within {_STOP_PATIENCE:g} s; try again")
            time.sleep(_POLL)  # Connect offers no notification

    def stopped(self, name: str) -> bool:
        """Whether there is such a connector, and it was stopped."""
        status = self._call("GET", f"/connectors/{name}/status", missing_ok=True)
        return status is not None and status["connector"]["state"] == "STOPPED"

    def resume(self, name: str) -> None:
        """Let a stopped connector go on."""
        self._call("PUT", f"/connectors/{name}/resume")

    def forget_position(self, name: str) -> None:
        """Delete a stopped connector's stored position."""
        self._call("DELETE", f"/connectors/{name}/offsets")

    def position(self, name: str) -> int | None:
        """The log position that a connector has stored as read, or None when it has stored none."""
        found = self._call("GET", f"/connectors/{name}/offsets", missing_ok=True) or {"offsets": []}
        positions = [entry["offset"]["lsn"] for entry in found["offsets"] if entry.get("offset")]
        return max(positions, default=None)

    def failures(self, name: str) -> list[str]:
        """What the connector's failed parts (itself, its tasks) died of, a line each; empty when none failed."""
        return _failures(self._call("GET", f"/connectors/{name}/status", missing_ok=True))

    def all_failures(self) -> dict[str, list[str]]:
        """`failures` of every connector, asked at once."""
        found = self._call("GET", "/connectors?expand=status")
        return {name: _failures(connector.get("status")) for name, connector in found.items()}

    def running(self, name: str) -> bool:
        """Whether the connector and at least one task run, and nothing else is wrong with it."""
        status = self._call("GET", f"/connectors/{name}/status", missing_ok=True)
        if status is None:
            return False
        return bool(status["tasks"]) and all(
            part["state"] == "RUNNING" for part in [status["connector"], *status["tasks"]]
        )

    def restart_failed(self, name: str) -> None:
        """Restart the connector's failed parts; running ones are left alone."""
        self._call("POST", f"/connectors/{name}/restart?includeTasks=true&onlyFailed=true")

    def _call(self, method: str, path: str, *, json: Any = None, missing_ok: bool = False) -> Any:
        deadline = time.monotonic() + _BUSY_PATIENCE
        while True:
            try:
                answer = self._http.request(method, path, json=json)
            except httpx.HTTPError as error:
                raise TransientError(
                    f"Kafka Connect at {self._url} does not answer ({error}); is it up? `millrace status`"
                ) from error
            if answer.status_code != 409 or time.monotonic() > deadline:
                break
            time.sleep(_POLL)  # another change has not gone round yet; Connect offers no notification
        if answer.status_code == 404 and missing_ok:
            return None
        if answer.status_code in (409, 500, 503):
            raise TransientError(f"Kafka Connect is busy ({answer.status_code}): {answer.text[:300]}")
        if answer.is_error:
            raise PermanentError(f"Kafka Connect refused {method} {path}: {answer.text[:500]}")
        return answer.json() if answer.content else None


def _failures(status: dict[str, Any] | None) -> list[str]:
    if status is None:
        return []
    parts = [status["connector"], *status["tasks"]]
    return [in_a_line(part.get("trace", "")) for part in parts if part["state"] == "FAILED"]


def in_a_line(trace: str) -> str:
    """What a Java trace says, with its innermost cause where that says something else: the first line alone is often Connect's own."""
    lines = trace.splitlines()
    if not lines:
        return "no reason given"
    causes = [line.strip().removeprefix(_CAUSE) for line in lines if line.strip().startswith(_CAUSE)]
    cause = causes[-1] if causes else ""
    return lines[0] if not cause or cause in lines[0] else f"{lines[0]} ({cause})"
