"""Writes segments, and deletes those that no stored state needs any more.

A segment is durable before the epoch that names it is stored: the sink's part of the epoch waits for the disk. One that
is replaced may be needed until the epoch without it is stored. Any record of a later epoch proves that it is (see
docs/decisions/0010-alerts-after-their-epoch.md).
"""

from __future__ import annotations

from bytewax.outputs import FixedPartitionedSink, StatefulSinkPartition
from typing_extensions import override

from aftercall.errors import UserError
from connectors.segments.folder import SegmentFolder
from connectors.segments.messages import Segment

SEGMENTS_PART = "segments"
"""Key of every message to the sink, and its only part: the folder is on one disk."""


class SegmentPart(StatefulSinkPartition[Segment | None, None]):
    """The only part. It has no state of its own."""

    def __init__(self, folder: SegmentFolder) -> None:
        self._folder = folder
        self._fresh: list[str] = []
        self._replaced: list[str] = []

    @override
    def write_batch(self, values: list[Segment | None]) -> None:
        """Write segments, and delete those that earlier epochs replaced; None is a sign of life."""
        stale, self._replaced = self._replaced, []
        try:
            self._folder.delete(stale)
            for segment in values:
                if segment is not None:
                    self._fresh += segment.replaced
                    if segment.data:
                        self._folder.write(segment.name, segment.data)
        except OSError as wrong:
            raise self._refused(wrong) from None

    @override
    def snapshot(self) -> None:
        """Wait until all that was written is on disk."""
        try:
            self._folder.settle()
        except OSError as wrong:
            raise self._refused(wrong) from None
        self._replaced += self._fresh
        self._fresh = []

    def _refused(self, wrong: OSError) -> SegmentError:
        return SegmentError(
            f"{self._folder.path}: the state must be writable; {wrong.strerror} (make room, then give the same command "
            "again: the run resumes at its last epoch)"
        )


class SegmentSink(FixedPartitionedSink[Segment | None, None]):
    """Takes `(SEGMENTS_PART, segment)`, and None in every epoch that has no segment."""

    def __init__(self, folder: SegmentFolder) -> None:
        self._folder = folder

    @override
    def list_parts(self) -> list[str]:
        """One part."""
        return [SEGMENTS_PART]

    @override
    def part_fn(self, item_key: str) -> int:
        """All keys go to the only part."""
        return 0

    @override
    def build_part(self, step_id: str, for_part: str, resume_state: None) -> SegmentPart:
        """Open the part."""
        return SegmentPart(self._folder)


class SegmentError(UserError):
    """The state cannot be written."""
