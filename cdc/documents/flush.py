"""One flush: from the change events gathered for it to the acknowledged documents of every root they concern, each once.

Events of an older epoch are not waited for: their transactions may belong to a line of the log that no longer is; their
roots are read like any others.
"""

from collections.abc import Iterable, Iterator, Sequence

from elasticsearch import Elasticsearch

from cdc.documents.affected import Affected, Change, Resolver
from cdc.documents.letters import DocumentLetters
from cdc.documents.loading import rebuild
from cdc.documents.owners import Owners, handed_root
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
        owners: Owners,
    ) -> None:
        self.file, self.source, self.trees = file, source, trees
        self.letters, self.owners = letters, owners
        self.writer = Writer(file, source, client, letters)
        self._client = client
        self._reader = Reader(file, source)
        self._resolver = Resolver(trees)
        self._affected, self._transactions = Affected(), set[int]()

    @property
    def topics(self) -> list[str]:
        """The topics whose events belong here, and the one of roots that are handed over."""
        return [*self._resolver.topics, self.owners.topic]

    def close(self) -> None:
        """End all sessions."""
        self.writer.close()
        self._reader.close()

    def take(self, changes: Sequence[Change]) -> None:
        """Note the documents that the changes concern, for the next flush.

        Raises:
            PermanentError: an event is of an epoch that the engine's state does not know.
        """
        newest = max((change.epoch for change in changes), default=0)
        if newest > self.source.epoch:
            raise PermanentError(
                f"source {self.file.source}: an event of epoch {newest} came, the state knows {self.source.epoch};"
                " the process starts again with the new one"
            )
        self._transactions.update(c.transaction for c in changes if c.epoch == self.source.epoch and c.transaction)
        self._resolver.affected(changes, self._affected)

    def take_handed(self, value: bytes) -> None:
        """Note a root that another member has handed over."""
        name, key = handed_root(value)
        self._affected.handed[name].add(key)

    def flush(self) -> None:
        """Return when every document noted is written as it is now, or newer, or is on its way to its owner for good.

        Raises:
            CdcError: as `Writer.write`.
        """
        affected, self._affected = self._affected, Affected()
        transactions, self._transactions = self._transactions, set()
        if transactions:
            with_patience(lambda: self._reader.wait_until_visible(transactions), PATIENCE, self.writer.stopping)
        for tree in self.trees:
            if tree.index in affected.rebuild:
                rebuild(self.writer, self._reader, self._client, tree)
            else:
                handed = affected.handed[tree.index]
                for keys in distinct(self._roots(tree, affected), ROOTS_REMEMBERED):
                    mine = self.owners.keep(tree.index, keys - handed) | (keys & handed)
                    self.writer.write(
                        tree, sorted(mine)
                    )  # neighbours share pages of the source's and the index's trees
        self.owners.wait()

    def _roots(self, tree: Tree, affected: Affected) -> Iterator[Iterable[Key]]:
        yield affected.handed[tree.index]
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
