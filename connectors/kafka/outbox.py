"""Records for topics that are written down first, so that no broker is needed, and sent when one is there.

Only erasing on a stopped pipeline works like this; it makes a handful of records, tombstones and dead letters.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Final
from zlib import crc32

from bytewax.outputs import FixedPartitionedSink, StatefulSinkPartition
from typing_extensions import override

from connectors.block import Block
from connectors.fsync import sync
from connectors.kafka.sink import PARTS
from connectors.kafka.writer import KafkaWriter

FILE: Final = "unsent.jsonl"


class OutboxPart(StatefulSinkPartition[Block, None]):
    """One of the parts of an output; all of them append to one file, whole lines at a time."""

    def __init__(self, file: Path, topic: str) -> None:
        self._file, self._topic = file, topic
        self._lines: list[bytes] = []

    @override
    def write_batch(self, values: list[Block]) -> None:
        """Remember records until the epoch ends."""
        for block in values:
            for key, value in block:
                text = None if value is None else value.decode()
                self._lines.append(json.dumps([self._topic, key, text]).encode() + b"\n")

    @override
    def snapshot(self) -> None:
        """They are on disk before the epoch is stored; after a crash in between they come twice, which harms nobody."""
        self._flush()

    @override
    def close(self) -> None:
        """Called at the end of the dataflow."""
        self._flush()

    def _flush(self) -> None:
        lines, self._lines = self._lines, []
        if not lines:
            return
        self._file.parent.mkdir(mode=0o700, exist_ok=True)
        with self._file.open("ab") as file:
            os.fchmod(file.fileno(), 0o600)
            file.write(b"".join(lines))
            file.flush()
            os.fsync(file.fileno())
        sync(self._file.parent)


class OutboxSink(FixedPartitionedSink[Block, None]):
    """Stands in for a `KafkaSink` of the same topic, with the same parts: the recovery store sees no difference."""

    def __init__(self, file: Path, topic: str) -> None:
        """`file`: shared by all sinks of the process."""
        self._file, self._topic = file, topic

    @override
    def list_parts(self) -> list[str]:
        """Those of `KafkaSink`."""
        return [f"p{number:02}" for number in range(PARTS)]

    @override
    def part_fn(self, item_key: str) -> int:
        """That of `KafkaSink`."""
        return crc32(item_key.encode())

    @override
    def build_part(self, step_id: str, for_part: str, resume_state: None) -> OutboxPart:
        """Nothing is opened before there is something to write."""
        return OutboxPart(self._file, self._topic)


def send(file: Path, writer: KafkaWriter) -> None:
    """Send what was written down, and remove the file once the broker has everything.

    Raises:
        KafkaFailure: the broker refuses us, or the writer gave up; the file stays.
    """
    writer.open()
    try:
        for line in file.read_bytes().splitlines(keepends=True):
            if not line.endswith(b"\n"):  # whoever wrote it died, before the epoch was stored
                continue
            topic, key, text = json.loads(line)
            writer.write(topic, [[(key, None if text is None else text.encode())]])
        writer.settle()
    finally:
        writer.close()
    file.unlink()
    sync(file.parent)
