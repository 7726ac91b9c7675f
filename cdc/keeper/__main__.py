"""The keeper as a process: ``python -m cdc.keeper``."""

from collections.abc import Callable
from typing import Any

from cdc import health, process
from cdc.connect.client import ConnectClient
from cdc.connect.guard import Guard
from cdc.keeper.duties import Duties
from cdc.settings import settings


def main(on_stop: Callable[[Callable[[], None]], None]) -> None:
    """Run until SIGTERM."""
    config = settings()
    guard = Guard(ConnectClient(config.connect_url))
    duties = Duties(config, guard.stop)

    def stop() -> None:
        duties.stop()
        guard.stop()

    def report() -> tuple[bool, dict[str, Any]]:
        facts = {"restarts": guard.restarts, "connect": guard.last_problem, "problems": dict(duties.problems)}
        return duties.is_alive(), facts

    on_stop(stop)
    duties.start()
    health.serve(process.health_port(), report)
    guard.run()


if __name__ == "__main__":
    process.run("millrace.keeper", main)
