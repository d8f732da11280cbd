"""Keeps the DuckDB tables, and publishes them as files."""
