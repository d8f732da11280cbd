"""Measures what the SDK costs an agent, and what it loses while the broker is away: `make bench-sdk`."""
