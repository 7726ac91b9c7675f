"""The Dagster code location: what is copied, how far behind it is, whether it is equal, and the marts made of it."""
