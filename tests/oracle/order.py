"""The order in which records are read, and the naive watermark before each of them (reference section 2)."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from oracle.records import NEVER, Record, parse

if TYPE_CHECKING:
    from collections.abc import Sequence


class File(NamedTuple):
    """A file of JSON lines; `kind` is "calls" or "outcomes"."""

    kind: str
    lines: tuple[bytes, ...]

    def content(self) -> bytes:
        """The bytes of the file."""
        return b"".join(line + b"\n" for line in self.lines)


class Read(NamedTuple):
    """A record and where it came from: index of its file or partition, and line from 1."""

    file: int
    line: int
    record: Record


def partitions_of(files: Sequence[File]) -> list[list[Read]]:
    """The records of each file in the order of its lines."""
    return [
        [Read(index, line, parse(file.kind, text)) for line, text in enumerate(file.lines, start=1)]
        for index, file in enumerate(files)
    ]


def reading_order(files: Sequence[File]) -> list[Read]:
    """All records by (event time, file, line), as the reference has it for a replay; files of calls come first."""
    everything = [read for partition in partitions_of(files) for read in partition]
    return sorted(everything, key=lambda read: (read.record.at, read.file, read.line))


def merged_order(files: Sequence[File]) -> list[Read]:
    """The files' heads merged by (event time, file, line): the same as `reading_order` where each file is sorted."""
    rest = [partition for partition in partitions_of(files) if partition]
    merged = []
    while rest:
        first = min(rest, key=lambda partition: (partition[0].record.at, partition[0].file))
        merged.append(first.pop(0))
        rest = [partition for partition in rest if partition]
    return merged


def watermarks(order: Sequence[Read], partitions: int) -> tuple[list[int], int]:
    """The watermark before each record and that after the last, in microseconds.

    `partitions` counts all files, also those without a record. NEVER until each partition has given a record or ended.
    """
    clocks: dict[int, int] = {}
    left = [sum(read.file == index for read in order) for index in range(partitions)]
    watermark = NEVER
    before = []
    for read in order:
        watermark = max(watermark, _least(clocks, left))
        before.append(watermark)
        clocks[read.file] = max(clocks.get(read.file, NEVER), read.record.at)
        left[read.file] -= 1
    return before, max(watermark, _least(clocks, left))


def _least(clocks: dict[int, int], left: list[int]) -> int:
    unread = [clocks.get(index, NEVER) for index, count in enumerate(left) if count]
    return min(unread) if unread else max(clocks.values(), default=NEVER)
