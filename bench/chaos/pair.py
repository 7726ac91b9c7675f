"""The PostgreSQL pair that a run's source lives on: a primary that is killed and promoted away from, and its standby."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import psycopg
from psycopg import sql

from bench.own_postgres import OwnPostgres, own_postgres
from cdc.errors import TransientError
from cdc.waiting import wait_until
from stack import parts

_STANDBY = "standby"
_KEEPS = ("hot_standby_feedback=on", "sync_replication_slots=on")
_PATIENCE = 20.0


class Pair:
    """Two servers, of which one at a time takes writes; each keeps the failover slots of the other in step."""

    def __init__(self, primary: OwnPostgres, folders: tuple[Path, Path]) -> None:
        self._primary, self._folders = primary, folders
        with psycopg.connect(primary.dsn, autocommit=True) as session:
            session.execute(
                sql.SQL("ALTER SYSTEM SET synchronized_standby_slots = {}").format(sql.Literal(_STANDBY))
            )  # the connector reads nothing that a promotion would lose
            session.execute("SELECT pg_reload_conf()")
        self._standby = self._follow(primary, folders[1], primary.port + 1)

    @property
    def admin_dsn(self) -> str:
        """As superuser, to whichever takes writes."""
        first, second = sorted((self._primary.port, self._standby.port))
        place = f"host=127.0.0.1,127.0.0.1 port={first},{second} user=postgres password=own dbname=postgres"
        return f"{place} target_session_attrs=read-write"

    def process(self) -> psutil.Process:
        """The primary's first process."""
        return self._primary.process()

    def crash(self) -> None:
        """Kill the primary and start it again: it recovers by its log."""
        self._primary.kill()
        self._primary.start()

    def promote(self, slot: str) -> bool:
        """Kill the primary, promote its standby, and have the former primary follow it; whether the standby had kept the slot."""
        kept = self._wait_for(slot)
        former, folder, port = self._primary, self._folders[0], self._primary.port
        former.kill()
        self._standby.promote()
        self._primary, self._folders = self._standby, (self._folders[1], folder)
        self._standby = self._follow(self._primary, folder, port)
        return kept

    def stop(self) -> None:
        """End both."""
        self._standby.stop()
        self._primary.stop()

    def _follow(self, primary: OwnPostgres, folder: Path, port: int) -> OwnPostgres:
        standby = primary.standby(folder, port, _STANDBY, _KEEPS)
        standby.start()
        return standby

    def _wait_for(self, slot: str) -> bool:
        try:
            wait_until(lambda: self._standby.keeps(slot), _PATIENCE, lambda: "not kept yet")
        except TransientError:
            return False
        return True


@contextmanager
def postgres_pair(folder: Path, port: int) -> Iterator[Pair]:
    """A fresh pair on two ports, of a PostgreSQL that has failover slots; it is gone afterwards."""
    folders = (folder / "one", folder / "two")
    with own_postgres(folders[0], port, parts.postgres_with_failover_slots().path) as primary:
        pair = Pair(primary, folders)
        try:
            yield pair
        finally:
            pair.stop()
            shutil.rmtree(folders[1], ignore_errors=True)
