"""Writing a reading to every index that follows a tree: one as a rule, two while one is built, or kept, beside another.

As a rule the form's alias stands for one index and one request goes to it. While it stands for two, Elasticsearch refuses a
write to it, because it cannot choose: that refusal is how a writer learns of the second index, at the very write that would
have missed it, and costs nothing while there is one. From then on each index is written by an alias of its own, and the names
are read again *after* every writing. Whoever builds an index reads the source only after the form's alias has got it, so what
a writer wrote before it could know of the index, the builder's reading holds.
"""

from collections.abc import Iterable

from elasticsearch import Elasticsearch

from cdc.documents import aliases, bulk
from cdc.documents.bulk import Written
from cdc.documents.reading import Reading
from cdc.documents.trees import Tree
from cdc.errors import PermanentError


class Followers:
    """Knows which trees have several indexes now. For several threads: what it remembers only saves questions."""

    def __init__(self, client: Elasticsearch) -> None:
        self._client = client
        self._several: dict[str, tuple[str, ...]] = {}

    def write(self, tree: Tree, reading: Reading) -> Written:
        """Write the reading to every index of the tree's form.

        Raises:
            PermanentError, TransientError: as `cdc.documents.bulk.write`.
        """
        names = self._several.get(tree.written, ())
        if not names:
            done = bulk.write(self._client, tree.written, reading)
            if not done.refused or len(names := aliases.followers(self._client, tree)) < 2:
                return done
        while True:
            done = self._to_each(tree, names, reading)
            now = aliases.followers(self._client, tree)
            if set(now) <= set(names):
                self._several[tree.written] = now if len(now) > 1 else ()
                return done
            names = now

    def _to_each(self, tree: Tree, names: Iterable[str], reading: Reading) -> Written:
        together = Written()
        for name in names:
            try:
                done = bulk.write(self._client, aliases.alone(name), reading)
            except PermanentError:
                if name in aliases.followers(self._client, tree):
                    raise
                continue  # it was given up meanwhile
            together.indexed += done.indexed
            together.deleted += done.deleted
            together.superseded += done.superseded
            together.busy = list(dict.fromkeys([*together.busy, *done.busy]))
            together.refused |= done.refused
        return together
