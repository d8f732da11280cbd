"""Keep the DuckDB tables and publish them as files."""
