"""The status page as a process: ``python -m cdc.page``, on loopback at HEALTH_PORT."""

from collections.abc import Callable

from cdc import process
from cdc.page.serve import serve
from cdc.settings import settings


def main(on_stop: Callable[[Callable[[], None]], None]) -> None:
    """Serve until SIGTERM."""
    serve(settings(), process.health_port(), on_stop)


if __name__ == "__main__":
    process.run("millrace.page", main)
