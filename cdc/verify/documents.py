"""Verification of search documents: every document against one read from nothing."""

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import psycopg

from cdc import documents, source_database
from cdc import state as engine_state
from cdc.documents import DocumentProof, Tree, roots_topic
from cdc.kafka import Kafka
from cdc.settings import settings
from cdc.sinks.positions import DOCUMENTS_GROUP
from cdc.source_file import SourceFile
from cdc.state import SourceState
from cdc.verify.passed import wait_until_passed

Passed = Callable[[int], None]


def verify_documents(sources: list[str] | None = None, *, patience: float = 120.0) -> list[DocumentProof]:
    """Compare the documents of all (or the named) sources by content, both ways.

    Raises:
        CdcError: a check could not be made.
    """
    proofs: list[DocumentProof] = []
    for file, known, trees, passed in documents_of(sources, patience):
        proofs += documents.verify(file, known, trees, settings(), passed)
    return proofs


def documents_of(
    sources: list[str] | None, patience: float
) -> Iterator[tuple[SourceFile, SourceState, tuple[Tree, ...], Passed]]:
    """The applied sources with documents: each with its trees, and what waits until the sink has passed a position."""
    config = settings()
    kafka = Kafka(config.kafka_bootstrap)
    try:
        with engine_state.connect(config.millrace_state_dsn) as state:
            for file, known in engine_state.applied_sources(state):
                if not file.documents or (sources is not None and file.source not in sources):
                    continue
                with source_database.connect(file) as source:
                    trees = documents.load_trees(file, source)
                    topics = sorted({path[-1].shape.topic for tree in trees for path in tree.paths()})
                    yield file, known, tuple(trees), partial(_passed, file, source, kafka, topics, patience)
    finally:
        kafka.close()


def _passed(
    file: SourceFile, source: psycopg.Connection[Any], kafka: Kafka, topics: list[str], patience: float, lsn: int
) -> None:
    then = [roots_topic(file.source)]
    wait_until_passed(file, source, kafka, [DOCUMENTS_GROUP], topics, lsn, then=then, patience=patience)
