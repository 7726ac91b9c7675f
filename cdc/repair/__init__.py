"""Repair: makes a copy equal to its source again, in place, while the stream runs, touching only what differs.

It verifies, copies the keys that differ anew behind a fresh fence, ends those that the source no longer has, and verifies
these again. What it writes loses to every later change, so it can do no harm to a copy that is right.
"""

from cdc.documents import MendedDocuments
from cdc.repair.documents import repair_documents
from cdc.repair.tables import MendedTable, repair_tables

__all__ = ["MendedDocuments", "MendedTable", "repair_documents", "repair_tables"]
