"""The dashboards as files: read, held against the marts and the metrics, and handed to Superset."""
