"""Stores output records in a file, and sends them once a broker can be reached.

Only erasing on a stopped pipeline works like this, as it must not need a broker; it produces a handful of records,
tombstones and dead letters.
"""

from __future__ import annotations

import json
import os
from collections.abc import Container
from pathlib import Path
from typing import BinaryIO, Final
from zlib import crc32

from bytewax.outputs import FixedPartitionedSink, StatefulSinkPartition
from typing_extensions import override

from aftercall.errors import StateError
from connectors.block import Block
from connectors.fsync import sync
from connectors.kafka.sink import PARTS
from connectors.kafka.writer import KafkaWriter
from connectors.own_files import open_own

FILE: Final = "unsent.jsonl"


class OutboxPart(StatefulSinkPartition[Block, None]):
    """One part of an output; all parts append to one file, whole lines at a time."""

    def __init__(self, file: Path, topic: str) -> None:
        self._file, self._topic = file, topic
        self._lines: list[bytes] = []

    @override
    def write_batch(self, values: list[Block]) -> None:
        """Buffer records until the epoch ends."""
        for block in values:
            for key, value in block:
                record = [self._topic, key, None if value is None else value.decode()]
                self._lines.append(json.dumps([*record, _checksum(record)]).encode() + b"\n")

    @override
    def snapshot(self) -> None:
        """Flush to disk before the epoch is stored; after a crash in between, records come twice, without harm."""
        self._flush()

    @override
    def close(self) -> None:
        """Flush the rest, at the end of the dataflow."""
        self._flush()

    def _flush(self) -> None:
        lines, self._lines = self._lines, []
        if not lines:
            return
        self._file.parent.mkdir(mode=0o700, exist_ok=True)
        with open_own(self._file, "a+b") as file:
            os.fchmod(file.fileno(), 0o600)
            _cut_half_line(file)
            file.write(b"".join(lines))
            file.flush()
            os.fsync(file.fileno())
        sync(self._file.parent)


class OutboxSink(FixedPartitionedSink[Block, None]):
    """Stands in for a `KafkaSink` of the same topic, with the same parts, so that the recovery store stays valid."""

    def __init__(self, file: Path, topic: str) -> None:
        """`file`: shared by all sinks of the process."""
        self._file, self._topic = file, topic

    @override
    def list_parts(self) -> list[str]:
        """The names that `KafkaSink` has."""
        return [f"p{number:02}" for number in range(PARTS)]

    @override
    def part_fn(self, item_key: str) -> int:
        """The hash that `KafkaSink` uses."""
        return crc32(item_key.encode())

    @override
    def build_part(self, step_id: str, for_part: str, resume_state: None) -> OutboxPart:
        """Build a part; it opens the file when it has records to write."""
        return OutboxPart(self._file, self._topic)


def send(file: Path, writer: KafkaWriter, absent: Container[str] = ()) -> None:
    """Send the stored records, and remove the file once the broker has acknowledged all of them.

    Args:
        file: of the records.
        writer: sends them.
        absent: topics that need not exist, and do not: their records are dropped.

    Raises:
        KafkaFailure: the broker refuses the client, or the writer gave up; the file stays.
        StateError: the file is damaged; nothing is sent.
    """
    # The last line has no end where its writer died before the epoch was stored.
    records = [_record(file, line) for line in file.read_bytes().split(b"\n")[:-1]]
    writer.open()
    try:
        for topic, key, text in (record for record in records if record[0] not in absent):
            writer.write(topic, [[(key, None if text is None else text.encode())]])
        writer.settle()
    finally:
        writer.close()
    file.unlink()
    sync(file.parent)


def _record(file: Path, line: bytes) -> tuple[str, str, str | None]:
    """Topic, key and value of a line; one of an earlier version has no checksum."""
    try:
        topic, key, text, *checksum = json.loads(line)
        if not checksum or checksum == [_checksum([topic, key, text])]:
            return topic, key, text
    except (ValueError, TypeError):
        pass
    raise StateError(
        f"{file}: must be as `aftercall erase` wrote it; it is damaged (delete it, and erase the same calls again)"
    )


def _checksum(record: list[str | None]) -> int:
    return crc32(json.dumps(record).encode())


def _cut_half_line(file: BinaryIO) -> None:
    """Cut off what a writer left that died within a line, or the next line would be part of it."""
    file.seek(0)
    data = file.read()
    file.truncate(data.rfind(b"\n") + 1)
