"""A sink that lets records go only once the epoch that they belong to is stored.

What a step draws from several partitions together, such as an alert, depends on how these were read in turn; after a
crash they are read again in another turn, and the alert may not come again, or otherwise. So it must not leave before
the epoch is stored. Bytewax lets sources emit into an epoch only when the one before is in the recovery store of every
worker (the probe in its `worker.rs` follows the recovery writes), so any record of a later epoch is the sign.
"""

from __future__ import annotations

from bytewax.outputs import FixedPartitionedSink, StatefulSinkPartition
from typing_extensions import override

from connectors.block import Block

_PART = "held"
HeldBlocks = list[Block]


class AfterEpochPart(StatefulSinkPartition[Block, HeldBlocks]):
    """The only part. Its state are the records of the epoch that it is stored with."""

    def __init__(self, inner: StatefulSinkPartition[Block, None], stored: HeldBlocks | None) -> None:
        self._inner = inner
        self._stored: HeldBlocks = stored or []
        self._fresh: HeldBlocks = []

    @override
    def write_batch(self, values: list[Block]) -> None:
        """Let go of what earlier epochs brought; an empty block is a sign of life."""
        stored, self._stored = self._stored, []
        if stored:
            self._inner.write_batch(stored)
        self._fresh += [block for block in values if block]

    @override
    def snapshot(self) -> HeldBlocks:
        """What was let go has arrived; what this epoch brought goes with its state."""
        self._inner.snapshot()
        self._stored = self._stored + self._fresh
        self._fresh = []
        return self._stored

    @override
    def close(self) -> None:
        """Called at the end of the dataflow, and after a failure; `AfterEpoch.finish` sends the rest."""
        self._inner.close()

    def take(self) -> HeldBlocks:
        """What is stored and has not been let go; nothing is left."""
        rest, self._stored = self._stored, []
        return rest


class AfterEpoch(FixedPartitionedSink[Block, HeldBlocks]):
    """Stands before another sink. Wants a block of every epoch, empty where there is nothing to tell."""

    def __init__(self, inner: FixedPartitionedSink[Block, None]) -> None:
        self._inner = inner
        self._part: AfterEpochPart | None = None

    @override
    def list_parts(self) -> list[str]:
        """One: it has to hear of every epoch."""
        return [_PART]

    @override
    def part_fn(self, item_key: str) -> int:
        """The only one."""
        return 0

    @override
    def build_part(self, step_id: str, for_part: str, resume_state: HeldBlocks | None) -> AfterEpochPart:
        """What was stored with the last epoch is sent first."""
        self._part = AfterEpochPart(self._open(step_id), resume_state)
        return self._part

    def finish(self) -> None:
        """Send the rest, once the dataflow has come to its end and its last epoch is stored.

        In the process that holds the part; in others nothing happens. The next start sends it again: it cannot know.
        """
        rest = [] if self._part is None else self._part.take()
        if rest:
            inner = self._open("finish")
            try:
                inner.write_batch(rest)
                inner.snapshot()
            finally:
                inner.close()

    def _open(self, step_id: str) -> StatefulSinkPartition[Block, None]:
        return self._inner.build_part(step_id, self._inner.list_parts()[0], None)
