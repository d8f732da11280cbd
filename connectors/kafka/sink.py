"""A topic as a sink: an epoch is committed only after the broker has acknowledged all that it wrote."""

from __future__ import annotations

from typing import Final
from zlib import crc32

from bytewax.outputs import FixedPartitionedSink, StatefulSinkPartition
from typing_extensions import override

from connectors.block import Block
from connectors.kafka.writer import KafkaWriter

PARTS: Final = 12
"""Sink partitions per output: as many as there are shards, so that up to 12 workers share the work."""


class KafkaPart(StatefulSinkPartition[Block, None]):
    """One of the parts of an output: the way of an item key through the dataflow, not a partition of the topic."""

    def __init__(self, writer: KafkaWriter, topic: str) -> None:
        """Raises `KafkaConfigError` where librdkafka does not take the settings."""
        self._writer, self._topic = writer, topic
        writer.open()

    @override
    def write_batch(self, values: list[Block]) -> None:
        """Send each record; returns before the broker has them.

        Raises:
            KafkaFailure: the broker refuses us for good.
        """
        self._writer.write(self._topic, values)

    @override
    def snapshot(self) -> None:
        """Called at the end of an epoch: waits until the broker has everything. There is no position to remember.

        Raises:
            KafkaFailure: the broker refuses us for good, or the time to stop was over: the epoch is not committed.
        """
        self._writer.settle()

    @override
    def close(self) -> None:
        """Called at the end of the dataflow, and from a destructor when any step has failed: raises nothing."""
        self._writer.close()


class KafkaSink(FixedPartitionedSink[Block, None]):
    """One topic. After a crash the records since the last epoch come again, with the same `event_id`."""

    def __init__(self, writer: KafkaWriter, topic: str, parts: int = PARTS) -> None:
        """Write to `topic`.

        Args:
            writer: shared by all sinks of the process.
            topic: must exist.
            parts: sink partitions, 1 to 100; may change between runs.
        """
        self._writer, self._topic, self._parts = writer, topic, parts

    @override
    def list_parts(self) -> list[str]:
        """The same names on every worker; Bytewax gives each to one of them."""
        return [f"p{number:02}" for number in range(self._parts)]

    @override
    def part_fn(self, item_key: str) -> int:
        """A hash that never changes: what has one key goes one way, and so stays in order."""
        return crc32(item_key.encode())

    @override
    def build_part(self, step_id: str, for_part: str, resume_state: None) -> KafkaPart:
        """Open a part; the first one makes the producer."""
        return KafkaPart(self._writer, self._topic)
