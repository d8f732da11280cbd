"""Reads snapshots and prints reports on them: insights, digest, summary."""
