"""The engine's Prometheus metrics, by name; METRICS.md says which question each answers.

A process counts in the module-level objects; `cdc.health` serves them under ``/metrics``.
"""

from prometheus_client import Counter, Gauge, Histogram

_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0)
_ROWS = (1, 10, 100, 1_000, 5_000, 10_000, 20_000, 50_000, 100_000)

CHANGES = Counter("millrace_cdc_changes", "Changes written to a target.", ["target", "table"])
CHANGE_BYTES = Counter("millrace_cdc_change_bytes", "Bytes of the changes read by a sink.", ["target"])
FLUSHES = Counter("millrace_cdc_flushes", "Flushes ended by a sink.", ["target"])
FLUSH_ROWS = Histogram("millrace_cdc_flush_rows", "Changes in one flush.", ["target"], buckets=_ROWS)
FLUSH_SECONDS = Histogram("millrace_cdc_flush_seconds", "Duration of one flush.", ["target"], buckets=_SECONDS)
READ_AGAIN = Counter(
    "millrace_cdc_rows_read_again", "Rows read from the source for a value that the log left out.", ["table"]
)
PARKED = Counter("millrace_cdc_changes_parked", "Changes refused by a target and parked.", ["target", "table"])
WAITING = Gauge("millrace_cdc_sink_waiting", "1 while a sink waits for its target, else 0.", ["target"])
INVALIDATED = Counter("millrace_cdc_keys_invalidated", "Keys of caches that were told as changed.", ["source"])
SWEEPS = Counter("millrace_cdc_prefixes_swept", "Times that all keys of a prefix were dropped.", ["source"])

SLOT_BYTES = Gauge("millrace_cdc_slot_retained_bytes", "Log that a source's slot keeps from being removed.", ["source"])
SLOT_USED = Gauge(
    "millrace_cdc_slot_budget_used_ratio",
    "Share that the slot uses of what it may keep: max_slot_wal_keep_size or `slot_limit`, the lower one.",
    ["source"],
)
SLOTS_GIVEN_UP = Counter(
    "millrace_cdc_slots_given_up", "Times that a slot was given up as it held more than `slot_limit`.", ["source"]
)
UNREAD_BYTES = Gauge("millrace_cdc_unread_bytes", "Log of a source not confirmed as read by its connector.", ["source"])
EPOCH = Gauge("millrace_cdc_epoch", "Epoch of a source.", ["source"])
CONNECTOR_UP = Gauge(
    "millrace_cdc_connector_running", "1 while a source's connector and tasks run, else 0.", ["source"]
)
LAG_ROWS = Gauge(
    "millrace_cdc_lag_rows", "Changes in a table's topic that a target does not have yet.", ["target", "table"]
)
LAG_SECONDS = Gauge(
    "millrace_cdc_lag_seconds", "Age of the oldest change that a target does not have yet.", ["target", "table"]
)
DEAD_LETTERS = Gauge("millrace_cdc_dead_letters_open", "Changes that are parked now.", ["table"])
NOT_FOLLOWED = Gauge(
    "millrace_cdc_table_not_followed", "1 while a table is not followed (see `cdc status`), else 0.", ["table"]
)
DIFFERING = Gauge("millrace_cdc_last_proof_differing_keys", "Keys that differed at the last verification.", ["table"])
PROOF_AGE = Gauge(
    "millrace_cdc_last_proof_age_seconds", "Time since the last verification; absent before the first.", ["table"]
)
