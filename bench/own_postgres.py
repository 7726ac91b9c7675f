"""PostgreSQL servers beside the stack's, for what cannot be done to a shared one: set back to a copy of its files, killed, promoted."""

import os
import shutil
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil
import psycopg
from psycopg.conninfo import make_conninfo

from cdc.errors import PermanentError
from cdc.waiting import wait_until
from stack import parts
from stack.privileges import server_account, unprivileged

_PASSWORD = "own"  # noqa: S105  of a server on loopback that lives as long as a run
_PATIENCE = 90.0
_SETTINGS = (
    "wal_level=logical", "listen_addresses=127.0.0.1", "unix_socket_directories=", "fsync=off", "max_wal_senders=5",
    "max_replication_slots=5", "shared_buffers=16MB", "timezone=UTC",
)  # fmt: skip


class OwnPostgres:
    """A server in a folder, on a port of loopback; ``programs`` is its PostgreSQL's folder, ``settings`` are ``name=value``."""

    def __init__(self, folder: Path, port: int, programs: Path, settings: tuple[str, ...] = ()) -> None:
        self._data, self._backup, self.port = folder / "data", folder / "backup", port
        self._programs, self._settings = programs, settings
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def dsn(self) -> str:
        """As superuser, to the database `postgres`."""
        return f"postgresql://postgres:{_PASSWORD}@127.0.0.1:{self.port}/postgres"

    def initialise(self) -> None:
        """Make the data folder, with segments of 1 MB: what a slot keeps is counted in segments."""
        folder = self._data.parent
        folder.mkdir(parents=True)
        (folder / "password").write_text(_PASSWORD)
        self._own(folder)
        options = ("-U", "postgres", "--auth=scram-sha-256", "--locale=C.UTF-8", "--no-sync", "--wal-segsize=1")
        self._run("initdb", "-D", str(self._data), *options, f"--pwfile={folder / 'password'}")

    def start(self) -> None:
        """Start the server; returns when it takes connections."""
        options = [option for setting in (*_SETTINGS, *self._settings) for option in ("-c", setting)]
        command = self._command("postgres", "-D", str(self._data), "-p", str(self.port), *options)
        with (self._data.parent / "log").open("ab") as log:
            self._process = subprocess.Popen(command, stdout=log, stderr=log, cwd=self._data.parent)
        wait_until(
            lambda: self._ended() or self._answers(), _PATIENCE, lambda: f"port {self.port} takes no connections"
        )
        if self._ended():
            said = (self._data.parent / "log").read_text().splitlines()[-1:]
            raise PermanentError(f"the server for port {self.port} did not start: {' '.join(said)}")

    def stop(self) -> None:
        """Stop the server as a crash would not: its files are whole afterwards."""
        if self._process is not None:
            self._process.send_signal(signal.SIGINT)
            self._process.wait(60)
            self._process = None

    def kill(self) -> None:
        """End the server with all of its processes, as a machine that is gone; returns when none of them is left."""
        assert self._process is not None
        head = self.process()
        head.suspend()  # it makes no more
        family = [head, *head.children(recursive=True)]
        for process in family:
            process.kill()
        self._process.wait(60)
        psutil.wait_procs(family, 60)
        self._process = None

    def back_up(self) -> None:
        """Copy the files of the stopped server."""
        subprocess.run(["cp", "-a", str(self._data), str(self._backup)], check=True)

    def restore(self) -> None:
        """Put the copied files back, as of the backup."""
        shutil.rmtree(self._data)
        self._backup.rename(self._data)

    def standby(self, folder: Path, port: int, name: str, settings: tuple[str, ...] = ()) -> "OwnPostgres":
        """A copy of the running server that is to follow it by the physical slot ``name``, which is made; not started yet."""
        where = f"host=127.0.0.1 port={self.port} user=postgres password={_PASSWORD} dbname=postgres application_name={name}"
        follows = (f"primary_conninfo={where}", f"primary_slot_name={name}")
        copy = OwnPostgres(folder, port, self._programs)
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        with psycopg.connect(self.dsn, autocommit=True) as session:
            session.execute("SELECT pg_create_physical_replication_slot(%s, true)", [name])
            session.execute("SELECT pg_backup_start('copy', fast => true)")
            _copy_running(self._data, copy._data)
            row = session.execute("SELECT labelfile FROM pg_backup_stop(wait_for_archive => false)").fetchone()
        assert row is not None
        (copy._data / "backup_label").write_text(row[0])
        (copy._data / "standby.signal").touch()
        with (copy._data / "postgresql.auto.conf").open("a") as own:  # where ALTER SYSTEM can change it
            own.writelines(
                f"{name} = '{value}'\n" for name, _, value in (each.partition("=") for each in (*follows, *settings))
            )
        (copy._data / "postmaster.pid").unlink(missing_ok=True)
        for slot in (copy._data / "pg_replslot").iterdir():
            shutil.rmtree(slot)
        copy._own(folder)
        return copy

    def promote(self) -> None:
        """Make the standby a primary; returns when it takes writes."""
        with psycopg.connect(self.dsn, autocommit=True) as session:
            session.execute("SELECT pg_promote()")

    def keeps(self, slot: str) -> bool:
        """Whether a promotion of the standby would not lose the slot."""
        query = "SELECT synced AND NOT temporary AND invalidation_reason IS NULL FROM pg_replication_slots WHERE slot_name = %s"
        with psycopg.connect(self.dsn) as session:
            row = session.execute(query, [slot]).fetchone()
        return row is not None and bool(row[0])

    def cut_off(self) -> None:
        """The standby receives nothing of its primary from now on; returns when nothing is on its way."""
        with psycopg.connect(self.dsn, autocommit=True) as session:
            session.execute("ALTER SYSTEM SET primary_conninfo = ''")
            session.execute("SELECT pg_reload_conf()")
            receives = "SELECT FROM pg_stat_wal_receiver"
            wait_until(lambda: session.execute(receives).fetchone() is None, _PATIENCE, lambda: "it receives still")

    def process(self) -> psutil.Process:
        """The server's first process."""
        assert self._process is not None
        return psutil.Process(self._process.pid)

    def _ended(self) -> bool:
        return self._process is None or self._process.poll() is not None

    def _answers(self) -> bool:
        try:
            psycopg.connect(make_conninfo(self.dsn, connect_timeout=2)).close()
        except psycopg.OperationalError:
            return False
        return True

    def _command(self, program: str, *arguments: str) -> tuple[str, ...]:
        path = self._programs / program
        return unprivileged((str(path), *arguments), reach=(self._data, path))

    def _run(self, program: str, *arguments: str) -> None:
        subprocess.run(self._command(program, *arguments), check=True, stdout=subprocess.DEVNULL, cwd=self._data.parent)

    def _own(self, folder: Path) -> None:
        account = server_account()
        for path in (folder, *folder.rglob("*")):
            os.chown(path, *account.owner)


def _copy_running(data: Path, to: Path) -> None:
    """Copy a data folder that is being written: a file that goes meanwhile is not missed, the log has what is to be known of it."""
    to.mkdir(mode=0o700)
    for entry in os.scandir(data):
        with suppress(FileNotFoundError):
            if entry.is_dir():
                _copy_running(Path(entry.path), to / entry.name)
            else:
                shutil.copy2(entry.path, to / entry.name)


@contextmanager
def own_postgres(
    folder: Path, port: int, programs: Path | None = None, settings: tuple[str, ...] = ()
) -> Iterator[OwnPostgres]:
    """A fresh server that runs, of the stack's PostgreSQL unless told another; it is gone afterwards."""
    shutil.rmtree(folder, ignore_errors=True)
    server = OwnPostgres(folder, port, programs or parts.postgres().path, settings)
    try:
        server.initialise()
        server.start()
        yield server
    finally:
        server.stop()
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def own_postgres_pair(
    folder: Path, port: int, programs: Path, *, keeps_slots: bool = True
) -> Iterator[tuple[OwnPostgres, OwnPostgres]]:
    """A fresh primary and its standby (slot `standby`) on the next port, which keeps failover slots in step unless told not to."""
    with own_postgres(folder / "primary", port, programs) as primary:
        keeps = ("hot_standby_feedback=on", *(("sync_replication_slots=on",) if keeps_slots else ()))
        standby = primary.standby(folder / "standby", port + 1, "standby", keeps)
        try:
            standby.start()
            yield primary, standby
        finally:
            standby.stop()
            shutil.rmtree(folder / "standby", ignore_errors=True)
