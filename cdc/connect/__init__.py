"""Capture: publications, slots, topics and Debezium connectors, made and kept as the source files say."""
