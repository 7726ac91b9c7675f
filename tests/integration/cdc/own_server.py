"""A PostgreSQL server of a test's own, for what cannot be done to a shared one: set back to a copy of its files, promoted."""

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
from psycopg.conninfo import make_conninfo

from stack import parts
from stack.privileges import server_account, unprivileged
from tests.integration.cdc.waiting import eventually

_PASSWORD = "own"
_SETTINGS = (
    "wal_level=logical", "listen_addresses=127.0.0.1", "unix_socket_directories=", "fsync=off", "max_wal_senders=5",
    "max_replication_slots=5", "shared_buffers=16MB", "timezone=UTC",
)  # fmt: skip


class OwnServer:
    """A server in a folder, on a port of loopback."""

    def __init__(self, folder: Path, port: int) -> None:
        self._data, self._backup, self._port = folder / "data", folder / "backup", port
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def dsn(self) -> str:
        """As superuser, to the database `postgres`."""
        return f"postgresql://postgres:{_PASSWORD}@127.0.0.1:{self._port}/postgres"

    def initialise(self) -> None:
        """Make the data folder."""
        folder = self._data.parent
        folder.mkdir(parents=True)
        (folder / "password").write_text(_PASSWORD)
        self._own(folder)
        command = (
            "initdb",
            "-D",
            str(self._data),
            "-U",
            "postgres",
            "--auth=scram-sha-256",
            "--locale=C.UTF-8",
            "--no-sync",
        )
        self._run(*command, f"--pwfile={folder / 'password'}")

    def start(self) -> None:
        """Start the server; returns when it takes connections."""
        options = [option for setting in _SETTINGS for option in ("-c", setting)]
        program = str(parts.postgres().path / "postgres")
        command = unprivileged((program, "-D", str(self._data), "-p", str(self._port), *options), reach=(self._data,))
        with (self._data.parent / "log").open("ab") as log:
            self._process = subprocess.Popen(command, stdout=log, stderr=log, cwd=self._data.parent)
        eventually(self._answers, "the test's own server takes connections")

    def stop(self) -> None:
        """Stop the server as a crash would not: its files are whole afterwards."""
        if self._process is not None:
            self._process.send_signal(2)
            self._process.wait(60)
            self._process = None

    def back_up(self) -> None:
        """Copy the files of the stopped server."""
        subprocess.run(["cp", "-a", str(self._data), str(self._backup)], check=True)

    def restore(self) -> None:
        """Put the copied files back, as of the backup."""
        shutil.rmtree(self._data)
        self._backup.rename(self._data)

    def _answers(self) -> bool:
        try:
            psycopg.connect(make_conninfo(self.dsn, connect_timeout=2)).close()
        except psycopg.OperationalError:
            return False
        return True

    def _run(self, program: str, *arguments: str) -> None:
        command = unprivileged((str(parts.postgres().path / program), *arguments), reach=(self._data,))
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL, cwd=self._data.parent)

    def _own(self, folder: Path) -> None:
        account = server_account()
        for path in (folder, *folder.iterdir()):
            os.chown(path, *account.owner)


@contextmanager
def own_server(folder: Path, port: int) -> Iterator[OwnServer]:
    """A fresh server that runs; it is gone afterwards."""
    shutil.rmtree(folder, ignore_errors=True)
    server = OwnServer(folder, port)
    try:
        server.initialise()
        server.start()
        yield server
    finally:
        server.stop()
        shutil.rmtree(folder, ignore_errors=True)
