"""An index built anew beside the one that readers use, and given to them in its place once it is proven equal to the source.

Changes reach both indexes from the moment the new one is there until one of the two is given up, so nothing is lost on the way
there, nor on the way back. Readers know the alias alone: it leads to one whole index at every moment. What was begun and not
ended (a kill, a lost server) is found by the next run, given up, and begun anew.

A tree of another form is not for this: `apply` makes the index that it needs.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import psycopg
from elastic_transport import TransportError
from elasticsearch import ApiError, Elasticsearch

from cdc import failpoints, state
from cdc.documents import aliases, index, loading
from cdc.documents.failures import unreachable
from cdc.documents.letters import DocumentLetters
from cdc.documents.reading import Reader
from cdc.documents.trees import Tree
from cdc.documents.verify import DocumentProof, Passed, compare
from cdc.documents.writer import Writer
from cdc.errors import CdcError, ConfigurationError, PermanentError, TransientError
from cdc.settings import CdcSettings
from cdc.source_file import SourceFile
from cdc.state import SourceState

_CLAIM_WITHIN = "5s"  # a killed process' session ends a moment after it


@dataclass(frozen=True)
class Standing:
    """One index of a tree: what it is for (``read``, ``kept`` for the way back, ``unfinished``), whether changes reach it, and
    its documents and bytes."""

    name: str
    role: str
    followed: bool
    documents: int
    bytes: int


def reindex(
    file: SourceFile,
    source: SourceState,
    tree: Tree,
    config: CdcSettings,
    passed: Passed,
    progress: Callable[[int], None] = lambda _: None,
) -> DocumentProof:
    """Build the tree's index anew, prove it equal, give it to readers; the proof. The one before stays, kept up to date.

    Raises:
        ConfigurationError: there is no index of this form yet.
        PermanentError: the new index does not hold what it should, or the source's epoch was raised meanwhile: the new index
            is gone, readers have the one before.
        TransientError: a part stayed away, or another process builds the index; calling again begins anew.
    """
    with _parts(config, tree) as (client, known):
        if not index.is_loaded(client, tree):
            raise ConfigurationError(
                f"index {tree.index}: it does not hold all documents in the form of the source file yet: `millrace cdc apply`"
            )
        _refuse_raised(known, source, tree)
        finish(client, tree)
        failpoints.hit("reindex.begun")
        name = index.beside(client, tree, config.cdc_topic_retention_hours)
        try:
            failpoints.hit("reindex.created")
            proof = _fill(file, source, tree, config, passed, client, known, name, progress)
            _refuse_raised(known, source, tree)
            failpoints.hit("reindex.verified")
            index.note_loaded(client, tree, name)
            _give(client, tree, name)
        except BaseException as error:
            if aliases.read_by(client, tree) != name:
                _give_up(client, name)
            if isinstance(error, CdcError):
                _refuse_raised(known, source, tree)  # it says more than that the former primary does not answer
            raise
        failpoints.hit("reindex.given")
        return proof


def _fill(
    file: SourceFile,
    source: SourceState,
    tree: Tree,
    config: CdcSettings,
    passed: Passed,
    client: Elasticsearch,
    known: psycopg.Connection[Any],
    name: str,
    progress: Callable[[int], None],
) -> DocumentProof:
    def loaded(roots: int) -> None:
        _refuse_raised(known, source, tree)
        failpoints.hit("reindex.loaded-some")
        progress(roots)

    letters = DocumentLetters(config.millrace_state_dsn, config.kafka_bootstrap, file.source)
    writer, reader = Writer(file, source, client, letters, only=name), Reader(file, source)
    try:
        loading.load(writer, reader, tree, loaded)
        letters.refresh()
        proof = compare(reader, client, tree, passed, name=name).without(letters.parked(tree.index)).proof(tree)
    finally:
        writer.close()
        reader.close()
    if not proof.equal:
        parked = f", {proof.parked} are parked (`millrace cdc deadletters list`)" if proof.parked else ""
        raise PermanentError(
            f"index {tree.index}: {proof.differing} documents of the new index differ from the source{parked}; readers keep"
            " the index that they have"
        )
    return proof


def rollback(tree: Tree, config: CdcSettings) -> str:
    """Give readers the other index that holds every document, the one that they had before; its name.

    Raises:
        ConfigurationError: there is none.
        TransientError: Elasticsearch does not answer, or another process builds the index.
    """
    with _parts(config, tree) as (client, _):
        others = [name for name in aliases.complete(client, tree) if name != aliases.read_by(client, tree)]
        if not others:
            raise ConfigurationError(
                f"index {tree.index}: there is no other index that is kept up to date to go back to"
            )
        _give(client, tree, others[-1])
        return others[-1]


def give_up_others(tree: Tree, config: CdcSettings) -> list[str]:
    """Remove every index of the tree but the readers'; their names.

    Raises:
        TransientError: Elasticsearch does not answer, or another process builds the index.
    """
    with _parts(config, tree) as (client, _):
        return finish(client, tree)


def finish(client: Elasticsearch, tree: Tree) -> list[str]:
    """Remove every index of the tree but the readers'; their names."""
    there = aliases.read_by(client, tree)
    gone = [name for name in aliases.all_of(client, tree) if name != there]
    for name in gone:
        _give_up(client, name)
    if there:
        index.name_alone(client, there)
    return gone


def standing(client: Elasticsearch, tree: Tree) -> Iterator[Standing]:
    """The tree's indexes, in the order they were made."""
    there, followed = aliases.read_by(client, tree), aliases.followers(client, tree)
    complete = aliases.complete(client, tree) if followed else []
    for name in aliases.all_of(client, tree):
        role = "read" if name == there else "kept" if name in complete else "unfinished"
        documents, size = aliases.size(client, name)
        yield Standing(name, role, name in followed, documents, size)


def _give(client: Elasticsearch, tree: Tree, name: str) -> None:
    """Lead readers to another index, in one step."""
    there = aliases.read_by(client, tree)
    try:
        client.indices.refresh(index=name)
        client.indices.update_aliases(
            actions=[
                {"add": {"index": name, "alias": tree.index}},
                *([{"remove": {"index": there, "alias": tree.index}}] if there else []),
            ]
        )
    except (ApiError, TransportError) as error:
        raise unreachable(error) from error


def _give_up(client: Elasticsearch, name: str) -> None:
    """Remove an index together with its aliases, in one step: no writer finds one without the other."""
    try:
        client.indices.update_aliases(actions=[{"remove_index": {"index": name}}])
    except (ApiError, TransportError) as error:
        raise unreachable(error) from error


def _refuse_raised(known: psycopg.Connection[Any], source: SourceState, tree: Tree) -> None:
    now = state.find_source(known, source.source)
    if now is None or now.raising or now.epoch != source.epoch:
        raise PermanentError(
            f"index {tree.index}: the epoch of source {source.source} is being raised or was raised (a promotion, a restore):"
            " the new index is given up, readers keep the one that they have; wait until `millrace cdc status` shows its"
            " tables mended, then begin again"
        )


@contextmanager
def _parts(config: CdcSettings, tree: Tree) -> Iterator[tuple[Elasticsearch, psycopg.Connection[Any]]]:
    """Elasticsearch and the engine's state, with the claim to be the only one who changes this tree's indexes."""
    with index.connect(config.elasticsearch_url) as client, state.connect(config.millrace_state_dsn) as known:
        try:
            with known.transaction():
                known.execute(f"SET LOCAL lock_timeout = '{_CLAIM_WITHIN}'")
                known.execute("SELECT pg_advisory_lock(hashtextextended(%s, 0))", [f"millrace.reindex {tree.index}"])
        except psycopg.errors.LockNotAvailable:
            raise TransientError(
                f"index {tree.index} is being built anew by another process; wait for it, or end it and try again"
            ) from None
        yield client, known
