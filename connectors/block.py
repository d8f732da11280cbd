"""Defines the block: the records that the dataflow passes to one sink part at once, in order."""

from __future__ import annotations

Block = list[tuple[str, bytes | None]]
"""(key, JSON) of each record; None for a tombstone."""
