"""Reads a lane of files to its end."""

from __future__ import annotations

from connectors.batch import Batch
from connectors.files.lane import FileLane


def read(lane: FileLane) -> list[Batch]:
    """All of its batches."""
    batches: list[Batch] = []
    while True:
        try:
            batches += lane.next_batch()
        except StopIteration:
            return batches
