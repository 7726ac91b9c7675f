"""What waits for what: the way of the data from each source to each target, as facts for a table, for JSON and for metrics."""

from cdc.status.collect import Status, collect
from cdc.status.facts import GroupLag, SourceStatus, TableStatus

__all__ = ["GroupLag", "SourceStatus", "Status", "TableStatus", "collect"]
