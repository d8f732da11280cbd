"""Wires models and connectors into dataflows, commands and reports (docs/architecture.md)."""
