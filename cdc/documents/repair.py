"""Repair of documents: those that differ are read anew and written, those of roots that are gone are deleted.

It goes through the same writer as the stream, so a later reading wins over it. Only where the index holds a version that
the source cannot have given (its log has stepped back without a new epoch) would the repair lose, and is refused.
"""

from dataclasses import dataclass

from elasticsearch import Elasticsearch

from cdc.documents import aliases, contents, loading
from cdc.documents.reading import EPOCH_SHIFT, Reader, root_key
from cdc.documents.trees import Tree
from cdc.documents.verify import DOCUMENTS_AT_ONCE, Comparison, DocumentProof, Passed, compare, compare_again
from cdc.documents.writer import Writer
from cdc.errors import PermanentError
from cdc.state import SourceState
from cdc.version import format_lsn

FEW, SHARE = 1_000, 0.1  # more differing documents than both: the index is written whole


@dataclass(frozen=True)
class MendedDocuments:
    """What became of one index: how many documents differed and were written or deleted, whether all were; and the proof
    taken afterwards."""

    proof: DocumentProof
    differing: int = 0
    rebuilt: bool = False


def repair(
    writer: Writer, reader: Reader, client: Elasticsearch, tree: Tree, source: SourceState, passed: Passed
) -> list[MendedDocuments]:
    """Verify the documents of a tree in each index that holds them all, and mend those that differ.

    Raises:
        PermanentError: the index holds versions that the source cannot have given: the epoch must be raised first.
        CdcError: as `Writer.write` and `cdc.documents.verify.compare`.
    """
    here, *others = aliases.complete(client, tree)
    return [
        _mend(writer, reader, client, tree, source, passed, name, "" if name == here else name)
        for name in (here, *others)
    ]


def _mend(
    writer: Writer,
    reader: Reader,
    client: Elasticsearch,
    tree: Tree,
    source: SourceState,
    passed: Passed,
    name: str,
    shown: str,
) -> MendedDocuments:
    found = compare(reader, client, tree, passed, name=name)
    if not found.differing:
        return MendedDocuments(found.proof(tree, shown))
    _refuse_missed_epoch(reader, client, tree, source, found, name)
    if many := len(found.differing) > max(FEW, SHARE * found.rows):
        loading.rebuild(writer, reader, client, tree)
        mended = compare(reader, client, tree, passed, name=name)
    else:
        width = len(tree.root.shape.key)
        writer.write(tree, [root_key(identifier, width) for identifier in sorted(found.differing)])
        mended = compare_again(reader, client, tree, found, passed, name=name)
    parked = writer.letters.parked(tree.index)
    return MendedDocuments(mended.without(parked).proof(tree, shown), len(found.differing), many)


def _refuse_missed_epoch(
    reader: Reader, client: Elasticsearch, tree: Tree, source: SourceState, found: Comparison, name: str
) -> None:
    identifiers = sorted(found.differing)
    highest = max(
        contents.highest_version(client, name, identifiers[start : start + DOCUMENTS_AT_ONCE])
        for start in range(0, len(identifiers), DOCUMENTS_AT_ONCE)
    )
    here = reader.position()
    if highest > source.epoch << EPOCH_SHIFT | here:
        position = format_lsn(highest & (1 << EPOCH_SHIFT) - 1)
        raise PermanentError(
            f"index {tree.index}: it holds a version (epoch {highest >> EPOCH_SHIFT}, {position}) that the source, now at epoch "
            f"{source.epoch}, {format_lsn(here)}, cannot have given: its log has stepped back; "
            f"`millrace cdc epoch --raise {source.source}`, then repair"
        )
