"""Keeps inputs, outputs and tool results of calls as Parquet files; a buffer holds those that wait for a failure."""
