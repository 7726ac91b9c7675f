"""Proof that the copies equal their source, by content, while writes go on."""

from cdc.documents import DocumentProof
from cdc.verify.documents import verify_documents
from cdc.verify.tables import TableProof, captured_tables, verify_tables

__all__ = ["DocumentProof", "TableProof", "captured_tables", "verify_documents", "verify_tables"]
