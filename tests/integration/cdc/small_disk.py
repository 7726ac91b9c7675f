"""A ClickHouse of a test's own whose data lie on a small disk: a file system in memory, mounted in a namespace of its own.

Works for root and for an ordinary user alike, where the kernel lets users make namespaces. Only the server and this module,
through the server's process, see the disk.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from tests.own_clickhouse_server import OwnClickHouseServer

_INODES = 4000
_MOUNT = (
    'mount -t tmpfs -o "size=$1,nr_inodes=$2" tmpfs "$3" && mkdir "$3/tmp" "$3/user_files" "$3/format_schemas" '
    '&& shift 3 && exec "$@"'
)


class SmallDisk:
    """The server's disk, to be filled and emptied; ``url`` is the server's address."""

    def __init__(self, url: str, path: Path) -> None:
        self.url = url
        self._filler, self._many = path / "filler", path / "many"

    def fill(self, leave: int) -> None:
        """Leave so many bytes free; what the server takes meanwhile is looked at again."""
        self._filler.touch()
        with self._filler.open("r+b") as file:
            while (more := self._free() - leave) > 0:
                with suppress(OSError):
                    os.posix_fallocate(file.fileno(), 0, self._filler.stat().st_size + more)

    def _free(self) -> int:
        found = os.statvfs(self._filler)
        return found.f_bavail * found.f_frsize

    def take_inodes(self) -> None:
        """Leave room, but none for another file."""
        self._many.mkdir()
        for number in range(os.statvfs(self._many).f_favail):
            (self._many / str(number)).touch()

    def make_room(self) -> None:
        """Take back what was filled."""
        self._filler.unlink(missing_ok=True)
        if self._many.exists():
            for path in self._many.iterdir():
                path.unlink()
            self._many.rmdir()


@contextmanager
def small_disk(home: Path, port_base: int, size: int) -> Iterator[SmallDisk]:
    """A fresh server on a disk of so many bytes; gone afterwards."""
    server = OwnClickHouseServer(home, port_base)
    data = server.folder / "data"
    namespace = ("unshare", "--user", "--map-root-user", "--mount", "sh", "-c", _MOUNT, "sh")
    try:
        server.start(*namespace, str(size), str(_INODES), str(data))
        yield SmallDisk(server.url, Path(f"/proc/{server.pid}/root{data}"))
    finally:
        server.stop()
