"""One flush: from a handful of change events to the acknowledged documents of every root they concern, each once.

Events of an older epoch are not waited for: their transactions may belong to a line of the log that no longer is; their
roots are read like any others.
"""

from collections.abc import Iterable, Iterator, Sequence

from elasticsearch import Elasticsearch

from cdc.documents.affected import Affected, Change, Resolver
from cdc.documents.letters import DocumentLetters
from cdc.documents.loading import rebuild
from cdc.documents.reading import Key, Reader
from cdc.documents.trees import Tree
from cdc.documents.writer import PATIENCE, Writer, with_patience
from cdc.errors import PermanentError
from cdc.source_file import SourceFile
from cdc.state import SourceState

ROOTS_REMEMBERED = (
    100_000  # a flush writes each root once up to this many; beyond, memory matters more than a second write
)


class Flusher:
    """The trees of one source with what is needed to write them. Use from one thread."""

    def __init__(
        self,
        file: SourceFile,
        source: SourceState,
        trees: Sequence[Tree],
        client: Elasticsearch,
        letters: DocumentLetters,
    ) -> None:
        self.file, self.source, self.trees = file, source, trees
        self.letters = letters
        self.writer = Writer(file, source, client, letters)
        self._client = client
        self._reader = Reader(file, source)
        self._resolver = Resolver(trees)

    @property
    def topics(self) -> list[str]:
        """The topics whose events belong here."""
        return self._resolver.topics

    def close(self) -> None:
        """End all sessions."""
        self.writer.close()
        self._reader.close()

    def flush(self, changes: Sequence[Change]) -> None:
        """Return when every document concerned by the changes is written as it is now, or newer.

        Raises:
            CdcError: as `Writer.write`; and when an event is of an epoch that the engine's state does not know.
        """
        newest = max((change.epoch for change in changes), default=0)
        if newest > self.source.epoch:
            raise PermanentError(
                f"source {self.file.source}: an event of epoch {newest} came, the state knows {self.source.epoch};"
                " the process starts again with the new one"
            )
        current = {c.transaction for c in changes if c.epoch == self.source.epoch and c.transaction}
        if current:
            with_patience(lambda: self._reader.wait_until_visible(current), PATIENCE, self.writer.stopping)
        affected = self._resolver.affected(changes)
        for tree in self.trees:
            if tree.index in affected.rebuild:
                rebuild(self.writer, self._reader, self._client, tree)
            else:
                for keys in distinct(self._roots(tree, affected), ROOTS_REMEMBERED):
                    self.writer.write(
                        tree, sorted(keys)
                    )  # neighbours share pages of the source's and the index's trees

    def _roots(self, tree: Tree, affected: Affected) -> Iterator[Iterable[Key]]:
        yield affected.roots[tree.index]
        for number, path in enumerate(tree.paths()):
            if values := affected.lookups.get((tree.index, number)):
                yield from self._reader.roots(path, values)


def distinct(lots: Iterable[Iterable[Key]], most: int) -> Iterator[set[Key]]:
    """The keys of all lots as sets of up to about `most` keys; no key is twice in one set."""
    seen: set[Key] = set()
    for lot in lots:
        seen.update(lot)
        if len(seen) >= most:
            yield seen
            seen = set()
    if seen:
        yield seen
