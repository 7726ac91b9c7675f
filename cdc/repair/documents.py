"""Repair of search documents: for each source, what `cdc.documents.repair` does with each of its indexes."""

from cdc import documents
from cdc.documents import MendedDocuments
from cdc.settings import settings
from cdc.verify.documents import documents_of


def repair_documents(sources: list[str] | None = None, *, patience: float = 120.0) -> list[MendedDocuments]:
    """Verify the documents of all (or the named) sources and mend those that differ.

    Raises:
        PermanentError: an index holds versions that its source cannot have given: the epoch must be raised first.
        CdcError: a check or a write could not be made; calling again goes on.
    """
    mended: list[MendedDocuments] = []
    for file, known, trees, passed in documents_of(sources, patience):
        mended += documents.repair(file, known, trees, settings(), passed)
    return mended
