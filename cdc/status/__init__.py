"""What waits for what: the way of the data from each source to each target, as facts for a table, for JSON and for metrics."""

from cdc.status.collect import Status, collect
from cdc.status.facts import GroupLag, SourceStatus, TableStatus
from cdc.status.words import size_in_words, state_of
from cdc.status.wrong import Problem, problems

__all__ = [
    "GroupLag",
    "Problem",
    "SourceStatus",
    "Status",
    "TableStatus",
    "collect",
    "problems",
    "size_in_words",
    "state_of",
]
