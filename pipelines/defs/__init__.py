"""One folder per domain: `cdc` (the raw tables), `warehouse` (the dbt project)."""
