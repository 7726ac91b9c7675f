"""Refuses to copy below versions that the source cannot have written.

What a copy stamps is the position of its fence. A row of the target that was read before the fence was raised, and whose
version is above it, comes from a log that has since stepped back (a restore, a lossy failover) without a new epoch: the
copy would lose to it in silence. A person has to raise the epoch.
"""

from clickhouse_connect.driver.client import Client

from cdc.catalog import Shape
from cdc.errors import PermanentError
from cdc.sinks.clickhouse.raw_table import qualified
from cdc.version import Version, format_lsn


def highest_version(target: Client, shape: Shape, among: str = "1") -> int:
    """The highest version of any row of the raw table (ended ones too) that meets a condition; 0 when there is none."""
    [[highest]] = target.query(f"SELECT max(_version) FROM {qualified(shape)} WHERE {among}").result_rows
    return int(highest)


def refuse_missed_epoch(shape: Shape, highest: int, stamp: Version) -> None:
    """Return when every version is below the stamp; ``highest`` was read before the fence was raised.

    Raises:
        PermanentError: it is not; the epoch was not raised when it had to be.
    """
    if highest >= stamp.pack():
        found = Version.unpack(highest)
        raise PermanentError(
            f"{shape.topic}: its copy holds a version (epoch {found.epoch}, {format_lsn(found.commit)}) that the source, now at "
            f"epoch {stamp.epoch}, {format_lsn(stamp.commit)}, cannot have written: its log has stepped back; "
            f"`millrace cdc epoch --raise {shape.source}`, then repair"
        )
