"""Parses, validates and redacts records: from bytes to columns."""
