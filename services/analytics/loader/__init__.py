"""From Kafka into ClickHouse: every event once, whatever dies in between; what cannot be read is kept with the reason."""
