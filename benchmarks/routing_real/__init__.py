"""Recorded outcomes of many models on the same tasks, replayed through the real objects; docs/results.md shows them."""
