"""One folder per domain: `cdc` (topics and raw tables), `search`, `warehouse` (dbt), `quality`, `freshness`, `alerts`, `maintenance`."""
