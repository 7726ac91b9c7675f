"""Checks of the marts that are not dbt's: suites of Great Expectations."""
