"""The ClickHouse sink: raw copies of the captured tables, one ReplacingMergeTree each, highest version wins."""
