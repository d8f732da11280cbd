"""Holds records back until the epoch that they belong to is stored.

What a step derives from several partitions together, such as an alert, depends on the order in which these were read.
After a crash they are read again in another order, and the alert may differ or not come at all; so it must not be sent
before the epoch is stored. Bytewax lets sources emit into an epoch only when the one before is in the recovery store of
every worker (the probe in its `worker.rs` follows the recovery writes), so any record of a later epoch is the proof.
"""

from __future__ import annotations

from collections.abc import Callable

from bytewax.outputs import FixedPartitionedSink, StatefulSinkPartition
from typing_extensions import override

from connectors.block import Block

_PART = "held"
HeldBlocks = list[Block]


class AfterEpochPart(StatefulSinkPartition[Block, HeldBlocks]):
    """The only part. Its state is the list of records of the epoch that it is stored with."""

    def __init__(
        self,
        inner: StatefulSinkPartition[Block, None],
        stored: HeldBlocks | None,
        confirm: Callable[[], None] = lambda: None,
    ) -> None:
        self._inner, self._confirm = inner, confirm
        self._stored: HeldBlocks = list(stored or ())
        self._fresh: HeldBlocks = []

    @override
    def write_batch(self, values: list[Block]) -> None:
        """Send the records of earlier epochs, and hold these; an empty block is a heartbeat."""
        stored, self._stored = self._stored, []
        if stored:
            self._inner.write_batch(stored)
        self._fresh += [block for block in values if block]

    @override
    def snapshot(self) -> HeldBlocks:
        """Flush what was sent, and confirm; the state is all records that were not, including those of this epoch."""
        self._inner.snapshot()
        self._confirm()
        self._stored = self._stored + self._fresh
        self._fresh = []
        return self._stored

    @override
    def close(self) -> None:
        """Close the inner part, at the end of the dataflow or after a failure; `AfterEpoch.finish` sends the rest."""
        self._inner.close()

    def pop_stored(self) -> HeldBlocks:
        """Remove and return the records that are stored but not sent."""
        rest, self._stored = self._stored, []
        return rest


class AfterEpoch(FixedPartitionedSink[Block, HeldBlocks]):
    """Wraps another sink. It needs a block in every epoch, an empty one where there are no records."""

    def __init__(self, inner: FixedPartitionedSink[Block, None], confirm: Callable[[], None] = lambda: None) -> None:
        """`confirm`: returns once an epoch may be stored, in one process for all of them; it may raise."""
        self._inner, self._confirm = inner, confirm
        self._part: AfterEpochPart | None = None

    @override
    def list_parts(self) -> list[str]:
        """One part, as it must receive a block in every epoch."""
        return [_PART]

    @override
    def part_fn(self, item_key: str) -> int:
        """All keys go to the only part."""
        return 0

    @override
    def build_part(self, step_id: str, for_part: str, resume_state: HeldBlocks | None) -> AfterEpochPart:
        """Open the part; it first sends what was stored with the last epoch."""
        self._part = AfterEpochPart(self._open(step_id), resume_state, self._confirm)
        return self._part

    def finish(self) -> None:
        """Send the rest, once the dataflow has ended and its last epoch is stored.

        Does nothing in processes that do not hold the part. The next start sends the rest again, as the state does not
        show that it was sent.
        """
        rest = [] if self._part is None else self._part.pop_stored()
        if rest:
            inner = self._open("finish")
            try:
                inner.write_batch(rest)
                inner.snapshot()
            finally:
                inner.close()

    def _open(self, step_id: str) -> StatefulSinkPartition[Block, None]:
        return self._inner.build_part(step_id, self._inner.list_parts()[0], None)
