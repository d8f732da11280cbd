"""Detect changes of success rates with a promised false-alarm rate."""
