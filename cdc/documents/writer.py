"""Reads roots and writes their documents: the one path that the stream, the first load and a rebuild share.

Each lot of roots is a flush of its own (message, reading, bulk), so lots may run in parallel, and two processes may
write the same root: the version decides. A lot that fails for a passing reason is read anew, never sent again as it
was.
"""

import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Collection, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from itertools import islice
from queue import SimpleQueue
from typing import TypeVar

from elasticsearch import Elasticsearch

from cdc import failpoints
from cdc.documents import aliases, bulk
from cdc.documents.followed import Followers
from cdc.documents.letters import DocumentLetters
from cdc.documents.reading import Key, Reader, Reading, root_key
from cdc.documents.trees import Tree
from cdc.errors import TransientError
from cdc.source_file import SourceFile
from cdc.state import SourceState

log = logging.getLogger("millrace.documents")

T = TypeVar("T")

ROOTS_PER_LOT = 500
LOTS_AT_ONCE = 2  # one is read by the source while the other is indexed
PATIENCE = 120.0  # seconds that a part may be away before the process gives up and is started anew


@dataclass
class Totals:
    """Documents since the start: indexed, deleted, and left alone because a newer version was there."""

    indexed: int = 0
    deleted: int = 0
    superseded: int = 0


class Writer:
    """Writes documents of one source, to every index of their tree or to one of them only. Use from one thread; it has worker
    threads and sessions of its own.

    Raises from every writing method:
        TransientError: the source or Elasticsearch stayed away longer than the patience; nothing is lost, call again.
        PermanentError: see `cdc.documents.bulk.write` and `cdc.documents.reading.Reader`.
    """

    def __init__(
        self,
        file: SourceFile,
        source: SourceState,
        client: Elasticsearch,
        letters: DocumentLetters,
        patience: float = PATIENCE,
        only: str = "",
    ) -> None:
        self._client, self._only = client, only
        self._followers = Followers(client)
        self.letters = letters
        self._patience = patience
        self._readers: SimpleQueue[Reader] = SimpleQueue()
        for _ in range(LOTS_AT_ONCE):
            self._readers.put(Reader(file, source))
        self._pool = ThreadPoolExecutor(LOTS_AT_ONCE, thread_name_prefix="documents")
        self._counting = threading.Lock()
        self.stopping = threading.Event()
        self.totals = Totals()
        self.waits_for: str | None = None
        self.tell: Callable[[str | None], None] = lambda _: None
        """Called with what a lot waits for, each time it was tried, and with None once it goes on."""

    def close(self) -> None:
        """End the worker threads and sessions; a wait for a part that is away ends with a `TransientError`."""
        self.stopping.set()
        self._pool.shutdown()
        while not self._readers.empty():
            self._readers.get().close()
        self.letters.close()

    def write(self, tree: Tree, keys: Iterable[Key]) -> None:
        """Bring the documents of these roots up to date; returns when Elasticsearch has acknowledged them all."""
        pending: deque[Future[None]] = deque()
        try:
            for lot in _lots(keys, ROOTS_PER_LOT):
                pending.append(self._pool.submit(self._write_lot, tree, lot))
                if len(pending) > LOTS_AT_ONCE:
                    pending.popleft().result()
            while pending:
                pending.popleft().result()
        finally:
            for future in pending:
                future.cancel()

    def _write_lot(self, tree: Tree, keys: Collection[Key]) -> None:
        reader = self._readers.get()
        try:
            while keys:
                keys = with_patience(
                    partial(self._try_lot, reader, tree, keys), self._patience, self.stopping, self._wait
                )
        finally:
            self._readers.put(reader)

    def _written(self, tree: Tree, reading: Reading) -> bulk.Written:
        if self._only:
            return bulk.write(self._client, aliases.alone(self._only), reading)
        return self._followers.write(tree, reading)

    def _wait(self, reason: str | None) -> None:
        if reason or self.waits_for:
            self.waits_for = reason
            self.tell(reason)

    def _try_lot(self, reader: Reader, tree: Tree, keys: Collection[Key]) -> list[Key]:
        reading = reader.read(tree, keys)
        failpoints.hit("documents.read")
        done = self._written(tree, reading)
        if done.refused:
            bodies = dict(reading.bodies)
            refused = {identifier: (reason, bodies[identifier]) for identifier, reason in done.refused.items()}
            self.letters.park(tree.index, reading.version, refused)
        taken = {identifier for identifier, _ in reading.bodies} - done.refused.keys() - set(done.busy)
        self.letters.written(tree.index, reading.version, taken)
        with self._counting:
            self.totals.indexed += done.indexed
            self.totals.deleted += done.deleted
            self.totals.superseded += done.superseded
        if len(done.busy) == len(keys):
            raise TransientError(f"Elasticsearch has no room for documents of index {tree.index} now")
        return [root_key(identifier, len(tree.root.shape.key)) for identifier in done.busy]


def with_patience(
    call: Callable[[], T],
    patience: float,
    stopping: threading.Event,
    say: Callable[[str | None], None] = lambda _: None,
) -> T:
    """Call until it does not fail with a `TransientError`, with growing pauses, for at most so many seconds.

    ``say`` is told each failure, and None once the call succeeds.
    """
    deadline, pause = time.monotonic() + patience, 0.1
    while True:
        try:
            done = call()
            say(None)
            return done
        except TransientError as error:
            say(str(error))
            if time.monotonic() + pause > deadline or stopping.is_set():
                raise
            log.warning("%s; trying again in %.1f s", error, pause)
        stopping.wait(pause)
        pause = min(pause * 2, 5.0)


def _lots(keys: Iterable[Key], size: int) -> Iterator[list[Key]]:
    rest = iter(keys)
    while lot := list(islice(rest, size)):
        yield lot
