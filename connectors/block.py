"""A block is what the dataflow hands to a sink at once: records that go to one partition of it, in order."""

from __future__ import annotations

Block = list[tuple[str, bytes | None]]
"""(key, JSON) of each record; None for a tombstone."""
