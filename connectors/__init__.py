"""Connects the pipeline to files, Kafka and DuckDB; see docs/architecture.md."""
