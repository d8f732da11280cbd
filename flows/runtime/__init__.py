"""Runs a dataflow: engine, run folder, failures, progress."""
