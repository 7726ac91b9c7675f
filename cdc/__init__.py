"""The CDC engine: PostgreSQL -> Debezium -> Kafka -> ClickHouse and Elasticsearch, with proof that the copies are equal.

It knows no service and no table by name: what it captures comes from source files (``cdc/sources/*.yaml``) and from
the catalog of the source database.
"""
