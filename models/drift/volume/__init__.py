"""Detect silence and surges of calls and responses."""
