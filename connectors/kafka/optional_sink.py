"""Writes a topic that need not exist: while it does not, its records are dropped.

Looking for it costs one request to the broker. It is made when there are records to write, at most once a minute.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from typing import Final

from bytewax.outputs import FixedPartitionedSink, StatefulSinkPartition
from typing_extensions import override

from connectors.block import Block

LOOK_EVERY_S: Final = 60.0
_log = logging.getLogger("aftercall.kafka")
Part = StatefulSinkPartition[Block, None]


class OptionalPart(Part):
    """One part of the output; it opens that of the topic once the topic is there."""

    def __init__(
        self, open_part: Callable[[], Part], exists: Callable[[], bool], absence: str, monotonic: Callable[[], float]
    ) -> None:
        """`exists`: looks for the topic; it may raise. `absence`: a sentence to log once where there is none."""
        self._open_part, self._exists, self._absence, self._monotonic = open_part, exists, absence, monotonic
        self._part: Part | None = None
        self._looked_s: float | None = None

    @override
    def write_batch(self, values: list[Block]) -> None:
        """Write records, or drop them where there is no topic; raises what the topic's part raises."""
        if self._part is None and values and self._is_there():
            self._part = self._open_part()
        if self._part is not None:
            self._part.write_batch(values)

    @override
    def snapshot(self) -> None:
        """Wait until the records are acknowledged."""
        if self._part is not None:
            self._part.snapshot()

    @override
    def close(self) -> None:
        """Close the topic's part."""
        if self._part is not None:
            self._part.close()

    def _is_there(self) -> bool:
        now = self._monotonic()
        if self._looked_s is not None and now - self._looked_s < LOOK_EVERY_S:
            return False
        is_first, self._looked_s = self._looked_s is None, now
        if self._exists():
            return True
        if is_first:
            _log.warning("%s", self._absence)
        return False


class OptionalSink(FixedPartitionedSink[Block, None]):
    """Wraps the sink of a topic that need not exist; it has the same parts."""

    def __init__(
        self,
        inner: FixedPartitionedSink[Block, None],
        exists: Callable[[], bool],
        absence: str,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        """Arguments as in `OptionalPart`; `monotonic`: a clock, in seconds."""
        self._inner, self._exists, self._absence, self._monotonic = inner, exists, absence, monotonic

    @override
    def list_parts(self) -> list[str]:
        """Those of the inner sink."""
        return self._inner.list_parts()

    @override
    def part_fn(self, item_key: str) -> int:
        """That of the inner sink."""
        return self._inner.part_fn(item_key)

    @override
    def build_part(self, step_id: str, for_part: str, resume_state: None) -> OptionalPart:
        """Build a part; nothing is opened before there are records."""
        return OptionalPart(
            lambda: self._inner.build_part(step_id, for_part, resume_state),
            self._exists,
            self._absence,
            self._monotonic,
        )
