"""Writes a topic: an epoch is committed only after the broker has acknowledged its records."""

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
    """One part of an output: parts divide the item keys of the dataflow, and are not the topic's partitions."""

    def __init__(self, writer: KafkaWriter, topic: str) -> None:
        """Open the writer for this part.

        Raises:
            KafkaConfigError: librdkafka rejects the settings.
        """
        self._writer, self._topic = writer, topic
        writer.open()

    @override
    def write_batch(self, values: list[Block]) -> None:
        """Send each record; returns before the broker acknowledges them.

        Raises:
            KafkaFailure: the broker refuses the client for good.
        """
        self._writer.write(self._topic, values)

    @override
    def snapshot(self) -> None:
        """Wait, at the end of an epoch, until the broker has acknowledged all records. There is no position to store.

        Raises:
            KafkaFailure: the broker refuses the client for good, or the deadline to stop has passed; the epoch is not
                committed.
        """
        self._writer.settle()

    @override
    def close(self) -> None:
        """Close the part, at the end of the dataflow, or from a destructor when a step has failed; raises nothing."""
        self._writer.close()


class KafkaSink(FixedPartitionedSink[Block, None]):
    """Writes to one topic. After a crash the records since the last epoch come again, with the same `event_id`."""

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
        """Names of the parts, the same on every worker; Bytewax assigns each part to one worker."""
        return [f"p{number:02}" for number in range(self._parts)]

    @override
    def part_fn(self, item_key: str) -> int:
        """A hash that never changes: records of one key go through one part, and so stay in order."""
        return crc32(item_key.encode())

    @override
    def build_part(self, step_id: str, for_part: str, resume_state: None) -> KafkaPart:
        """Open a part; the first one creates the producer."""
        return KafkaPart(self._writer, self._topic)
