"""What every process of the engine does around its work: log lines, a clean end on SIGTERM, one clear line on failure."""

import logging
import os
import signal
import sys
from collections.abc import Callable
from typing import NoReturn

import psycopg
from clickhouse_connect.driver.exceptions import ClickHouseError

from cdc.clickhouse import first_line
from cdc.errors import CdcError, ConfigurationError


def health_port() -> int:
    """The port for `cdc.health`, from HEALTH_PORT.

    Raises:
        ConfigurationError: the variable is missing or not a port.
    """
    text = os.environ.get("HEALTH_PORT", "")
    if not text.isdigit() or not 0 < int(text) < 65536:
        raise ConfigurationError(
            f"HEALTH_PORT (port of this process' /readyz) is {text or 'not set'!r}; set it to a free port"
        )
    return int(text)


def run(name: str, work: Callable[[Callable[[Callable[[], None]], None]], None]) -> None:
    """Run a process' main function and exit with its outcome: 0 done, 1 failed with one logged line.

    Args:
        name: the logger that the reason is written to.
        work: called with a function that registers what SIGTERM and SIGINT should call.
    """
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s", stream=sys.stderr)
    for noisy in ("httpx", "elastic_transport", "clickhouse_connect", "urllib3"):
        logging.getLogger(noisy).setLevel(logging.ERROR)  # what they warn of, some with a traceback, we say in a line

    def on_stop(stop: Callable[[], None]) -> None:
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: stop())

    try:
        work(on_stop)
    except psycopg.OperationalError as error:
        _fail(name, f"a database went away: {' '.join(str(error).split())}")
    except ClickHouseError as error:
        _fail(name, f"ClickHouse went away or refuses: {first_line(error)}")
    except CdcError as error:
        _fail(name, f"{type(error).__name__}: {error}")


def _fail(name: str, reason: str) -> NoReturn:
    """End the process with its reason as one line, without a traceback: a person reads this."""
    logging.getLogger(name).log(logging.ERROR, "%s", reason)
    sys.exit(1)
