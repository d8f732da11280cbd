"""Measures speed, detection and recovery (docs/architecture.md)."""
