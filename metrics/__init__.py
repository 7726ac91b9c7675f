"""The business metrics: defined once in dbt/metrics.yml, rendered to SQL for whoever asks."""
