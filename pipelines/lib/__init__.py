"""What the definitions share: the dbt manifest, the names of assets, the connection to ClickHouse."""
