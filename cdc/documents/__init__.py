"""Documents: rows of several PostgreSQL tables kept as one Elasticsearch document each.

The functions here are what commands call; the sink itself is ``python -m cdc.documents``. Nothing is glued together
from events: an event only names the documents it concerns, and those are read from the source (`cdc.documents.reading`
gives the order that makes this safe).
"""

from collections.abc import Callable, Collection
from dataclasses import dataclass
from functools import partial

from cdc import dead_letters, state
from cdc.documents import aliases, index, loading
from cdc.documents.letters import TARGET, DocumentLetters
from cdc.documents.owners import roots_topic
from cdc.documents.problems import problems
from cdc.documents.reading import Reader
from cdc.documents.reindex import Standing, give_up_others, reindex, rollback, standing
from cdc.documents.repair import MendedDocuments
from cdc.documents.repair import repair as _repair
from cdc.documents.resolve import load_trees
from cdc.documents.trees import Tree
from cdc.documents.verify import DocumentProof, Passed, compare
from cdc.documents.writer import Writer
from cdc.errors import ConfigurationError
from cdc.settings import CdcSettings
from cdc.source_file import SourceFile
from cdc.state import SourceState

__all__ = [
    "DocumentProof",
    "Indexes",
    "MendedDocuments",
    "Standing",
    "Tree",
    "backfill",
    "give_up_others",
    "indexes",
    "load_trees",
    "outstanding",
    "prepare",
    "problems",
    "refuse_names_in_use",
    "reindex",
    "remove",
    "repair",
    "rollback",
    "roots_topic",
    "verify",
]

Progress = Callable[[str, int], None]


def outstanding(trees: Collection[Tree], config: CdcSettings) -> list[Tree]:
    """The trees that `prepare` and `backfill` are due for: new, changed, or never loaded to the end. Changes nothing.

    Raises:
        TransientError: Elasticsearch does not answer.
    """
    with index.connect(config.elasticsearch_url) as client:
        return [tree for tree in trees if not index.is_loaded(client, tree)]


def refuse_names_in_use(trees: Collection[Tree], config: CdcSettings) -> None:
    """Return when every tree's index name is free, or that of its own indexes.

    Raises:
        ConfigurationError: one line for each name that something else has.
        TransientError: Elasticsearch does not answer.
    """
    with index.connect(config.elasticsearch_url) as client:
        taken = [str(aliases.name_in_use(tree, other)) for tree in trees if (other := aliases.in_use(client, tree))]
    if taken:
        raise ConfigurationError("\n".join(taken))


def prepare(trees: Collection[Tree], config: CdcSettings) -> None:
    """Make the trees' indexes and aliases, or add new fields to them; the sink writes to an index only after this.

    Raises:
        ConfigurationError: Elasticsearch refuses a mapping.
        TransientError: Elasticsearch does not answer.
    """
    with index.connect(config.elasticsearch_url) as client:
        for tree in trees:
            index.prepare(client, tree, config.cdc_topic_retention_hours)


def backfill(
    file: SourceFile,
    source: SourceState,
    trees: Collection[Tree],
    config: CdcSettings,
    progress: Progress = lambda *_: None,
) -> dict[str, int]:
    """Write every document of the trees from the source as it is, and delete those without a root, while the stream
    runs. Returns the number of roots by index; `progress` is told (index, roots so far).

    Raises:
        CdcError: as `cdc.documents.writer.Writer`; calling again starts the index in question from its beginning.
    """
    client = index.connect(config.elasticsearch_url)
    letters = DocumentLetters(config.millrace_state_dsn, config.kafka_bootstrap, file.source)
    writer, reader = Writer(file, source, client, letters), Reader(file, source)
    done = {}
    try:
        for tree in trees:
            done[tree.index] = loading.rebuild(writer, reader, client, tree, partial(progress, tree.index))
            index.mark_loaded(client, tree)
    finally:
        writer.close()
        reader.close()
        client.close()
    return done


@dataclass(frozen=True)
class Indexes:
    """The indexes of one tree, by the name that readers use; ``loaded``: they see every document in the tree's form."""

    index: str
    source: str
    loaded: bool
    indexes: tuple[Standing, ...]

    @property
    def wrong(self) -> list[str]:
        """What a person should look at, one line each."""
        left = [each.name for each in self.indexes if each.role == "unfinished"]
        lines = [] if self.loaded else ["readers do not see every document yet: `millrace cdc apply`"]
        if self.loaded and left:
            lines.append(
                f"{', '.join(left)} is being built, or was left: `millrace search reindex {self.index}` begins anew"
            )
        return lines


def indexes(trees: Collection[Tree], config: CdcSettings) -> list[Indexes]:
    """The indexes of each tree as they are now.

    Raises:
        TransientError: Elasticsearch does not answer.
    """
    with index.connect(config.elasticsearch_url) as client:
        return [
            Indexes(tree.index, tree.source, index.is_loaded(client, tree), tuple(standing(client, tree)))
            for tree in trees
        ]


def verify(
    file: SourceFile, source: SourceState, trees: Collection[Tree], config: CdcSettings, passed: Passed
) -> list[DocumentProof]:
    """Compare every document of the trees with one read from nothing; see `cdc.documents.verify`.

    `passed` is given a position of the source's log and returns once the sink has passed it.
    """
    client, reader = index.connect(config.elasticsearch_url), Reader(file, source)
    try:
        found = [
            (tree, "" if name == here else name, compare(reader, client, tree, passed, name=name))
            for tree in trees
            for here, *others in [aliases.complete(client, tree)]
            for name in (here, *others)
        ]
        parked = _parked(config)
        return [each.without(parked.get((file.source, tree.index), ())).proof(tree, name) for tree, name, each in found]
    finally:
        reader.close()
        client.close()


def _parked(config: CdcSettings) -> dict[tuple[str, str], set[str]]:
    with state.connect(config.millrace_state_dsn) as connection:
        return dead_letters.open_keys(connection, TARGET)


def repair(
    file: SourceFile, source: SourceState, trees: Collection[Tree], config: CdcSettings, passed: Passed
) -> list[MendedDocuments]:
    """Verify, and write the documents that differ anew from the source; see `cdc.documents.repair`."""
    client = index.connect(config.elasticsearch_url)
    letters = DocumentLetters(config.millrace_state_dsn, config.kafka_bootstrap, file.source)
    writer, reader = Writer(file, source, client, letters), Reader(file, source)
    try:
        return [each for tree in trees for each in _repair(writer, reader, client, tree, source, passed)]
    finally:
        writer.close()
        reader.close()
        client.close()


def remove(trees: Collection[Tree], config: CdcSettings) -> None:
    """Delete the trees' indexes with their aliases; what is not there is no error.

    Raises:
        TransientError: Elasticsearch does not answer.
    """
    with index.connect(config.elasticsearch_url) as client:
        for tree in trees:
            index.remove(client, tree)
