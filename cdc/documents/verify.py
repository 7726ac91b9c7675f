"""Proof that an index holds exactly the documents that a reading from nothing gives.

Every document is compared by content, in both directions: missing, different and superfluous ones all count. Writes may
go on meanwhile: a difference counts only when it is still there after the sink has passed a position taken after it was
seen, and the source's side has not changed in between; otherwise that document is looked at again.
"""

import time
from collections.abc import Callable, Collection
from dataclasses import dataclass, replace
from typing import Any

import orjson
from elasticsearch import Elasticsearch

from cdc.documents import aliases, contents
from cdc.documents.loading import orphans
from cdc.documents.reading import Key, Reader, root_key
from cdc.documents.trees import Tree
from cdc.errors import TransientError

DOCUMENTS_AT_ONCE = 1000
LOOKS = 5  # at what differs still, before the sink is waited for again
SHOWN = 1000  # differing ids kept in a proof: enough to repair by, bounded when all differ

Passed = Callable[[int], None]


@dataclass(frozen=True)
class DocumentProof:
    """The outcome for one index: roots compared, the position up to which it holds, ids that differ (the first ones
    in order), and how many differ in all."""

    index: str
    rows: int
    lsn: int
    keys: tuple[str, ...]
    differing: int
    parked: int = 0
    """Documents that Elasticsearch refuses: known not to be equal, and not among the differing ones."""

    @property
    def equal(self) -> bool:
        """Whether no document differs."""
        return self.differing == 0 and self.parked == 0


@dataclass(frozen=True)
class Comparison:
    """Roots compared, the position up to which it holds, and the ids of the documents that differ for certain."""

    rows: int
    lsn: int
    differing: frozenset[str]
    parked: int = 0

    def without(self, parked: Collection[str]) -> "Comparison":
        """The same with the documents that are parked set apart."""
        return replace(self, differing=self.differing.difference(parked), parked=len(parked))

    def proof(self, tree: Tree, name: str = "") -> DocumentProof:
        """What is shown of it, by the tree's name or by that of one of its indexes."""
        return DocumentProof(
            name or tree.index,
            self.rows,
            self.lsn,
            tuple(sorted(self.differing)[:SHOWN]),
            len(self.differing),
            self.parked,
        )


def compare(
    reader: Reader, client: Elasticsearch, tree: Tree, passed: Passed, patience: float = 60.0, name: str = ""
) -> Comparison:
    """Compare every document of the tree.

    Args:
        reader: a session on the source.
        client: where the index is.
        tree: the documents to compare.
        passed: returns once the sink has passed the given position, else raises `TransientError`.
        patience: seconds in which a document that keeps changing must stand still long enough to be compared.
        name: the index that holds the documents; the one that counts when not said.

    Raises:
        TransientError: a part did not answer, or documents kept changing.
    """
    name = name or aliases.current(client, tree)
    rows, suspects = 0, dict[str, Any]()
    for keys in reader.keys(tree, DOCUMENTS_AT_ONCE):
        rows += len(keys)
        suspects |= _differing(reader, client, tree, name, keys)
    for keys in orphans(reader, client, tree, name):
        suspects |= _differing(reader, client, tree, name, keys)
    return _confirm(reader, client, tree, name, suspects, rows, passed, patience)


def compare_again(
    reader: Reader,
    client: Elasticsearch,
    tree: Tree,
    before: Comparison,
    passed: Passed,
    patience: float = 60.0,
    name: str = "",
) -> Comparison:
    """Compare only the documents that differed before."""
    name = name or aliases.current(client, tree)
    suspects = _look_again(reader, client, tree, name, sorted(before.differing))
    return _confirm(reader, client, tree, name, suspects, before.rows, passed, patience)


def _confirm(
    reader: Reader,
    client: Elasticsearch,
    tree: Tree,
    name: str,
    suspects: dict[str, Any],
    rows: int,
    passed: Passed,
    patience: float,
) -> Comparison:
    proven: set[str] = set()
    deadline = time.monotonic() + patience
    lsn = reader.position()
    while suspects:
        lsn = reader.position()
        passed(lsn)
        again = _look_again(reader, client, tree, name, list(suspects))
        proven |= {identifier for identifier, body in again.items() if suspects[identifier] == body}
        suspects = {identifier: body for identifier, body in again.items() if identifier not in proven}
        for _ in range(LOOKS):  # one that changes all the time is equal only between its changes
            suspects = _look_again(reader, client, tree, name, list(suspects))
        if suspects and time.monotonic() > deadline:
            raise TransientError(
                f"index {tree.index}: {len(suspects)} documents change too fast to be compared; verify again"
            )
    return Comparison(rows, lsn, frozenset(proven))


def _look_again(reader: Reader, client: Elasticsearch, tree: Tree, name: str, identifiers: list[str]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    width = len(tree.root.shape.key)
    for start in range(0, len(identifiers), DOCUMENTS_AT_ONCE):
        lot = [root_key(identifier, width) for identifier in identifiers[start : start + DOCUMENTS_AT_ONCE]]
        found |= _differing(reader, client, tree, name, lot)
    return found


def _differing(reader: Reader, client: Elasticsearch, tree: Tree, name: str, keys: Collection[Key]) -> dict[str, Any]:
    """Documents that differ now: id -> what the source says (None: no such root)."""
    expected = {identifier: canonical(body) for identifier, body in reader.peek(tree, keys).items()}
    there = contents.bodies(client, name, list(expected))
    return {identifier: body for identifier, body in expected.items() if body != _spelt(there.get(identifier))}


def canonical(body: str | None) -> bytes | None:
    """One spelling for equal JSON documents: keys sorted, no spaces."""
    return None if body is None else _spelt(orjson.loads(body))


def _spelt(document: Any) -> bytes | None:
    return None if document is None else orjson.dumps(document, option=orjson.OPT_SORT_KEYS)
