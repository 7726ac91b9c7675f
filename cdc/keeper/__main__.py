"""The keeper as a process: ``python -m cdc.keeper``."""

from collections.abc import Callable
from typing import Any

from cdc import health, process
from cdc.connect.client import ConnectClient
from cdc.connect.guard import Guard
from cdc.keeper.copies import Copies
from cdc.keeper.duties import Duties
from cdc.keeper.slots import Slots
from cdc.keeper.watch import Watch
from cdc.settings import settings


def main(on_stop: Callable[[Callable[[], None]], None]) -> None:
    """Run until SIGTERM."""
    config = settings()
    guard = Guard(ConnectClient(config.connect_url))
    watches: list[Watch] = [Duties(config, guard.stop), Copies(config, guard.stop), Slots(config, guard.stop)]

    def stop() -> None:
        for watch in watches:
            watch.stop()
        guard.stop()

    def report() -> tuple[bool, dict[str, Any]]:
        problems = {name: reason for watch in watches for name, reason in watch.problems.copy().items()}
        facts = {"restarts": guard.restarts, "connect": guard.last_problem, "problems": problems}
        return all(watch.is_alive() for watch in watches), facts

    on_stop(stop)
    for watch in watches:
        watch.start()
    health.serve(process.health_port(), report)
    guard.run()


if __name__ == "__main__":
    process.run("millrace.keeper", main)
