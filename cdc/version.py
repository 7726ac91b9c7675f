"""Row versions: (epoch, commit, lsn) packed into one unsigned 128-bit number.

``epoch << 112 | commit << 56 | lsn``. ``lsn`` is the position of the change record, ``commit`` the position of the
commit of the transaction *before* it in the stream (Debezium's ``source.sequence[0]``), so that versions grow in
commit order: the record position alone does not, not even for one key, because an INSERT writes its heap record before
it waits for a unique index. The epoch is raised when a source's positions step back (restore, lossy failover). Record
positions are 8-byte aligned, so the low bit is free: the insert half of a key change carries ``lsn | 1`` and beats the
delete half.
"""

import json
from typing import NamedTuple

EPOCH_SHIFT = 112
COMMIT_SHIFT = 56
ROW_SHIFT = 56
"""Of the number of a row that has no key: ``epoch << 112 | lsn << 56 |`` its number among the rows of that record."""
LSN_MASK = (1 << 56) - 1


class Version(NamedTuple):
    """One row version; tuples compare as the packed numbers do."""

    epoch: int
    commit: int
    lsn: int

    def pack(self) -> int:
        """The version as the number stored in ``_version``."""
        return self.epoch << EPOCH_SHIFT | self.commit << COMMIT_SHIFT | self.lsn

    @classmethod
    def unpack(cls, number: int) -> "Version":
        """The inverse of `pack`."""
        return cls(number >> EPOCH_SHIFT, number >> COMMIT_SHIFT & LSN_MASK, number & LSN_MASK)


def parse_lsn(text: str) -> int:
    """``"1/AF"`` (PostgreSQL's spelling of a pg_lsn) as a number of bytes."""
    high, low = text.split("/")
    return int(high, 16) << 32 | int(low, 16)


def format_lsn(lsn: int) -> str:
    """The inverse of `parse_lsn`."""
    return f"{lsn >> 32:X}/{lsn & 0xFFFFFFFF:X}"


def parse_sequence(text: str) -> int:
    """The commit position in Debezium's ``source.sequence`` (``'["24023128","24023128"]'``); 0 where it is null.

    Null is the first transaction that a connector without a stored position sees.
    """
    return int(json.loads(text)[0] or 0)
