"""Counts calls whose records came on two partitions: producers that do not place keys alike, or unequal topics.

What the reference promises about order then holds only as far as partitions are read in order. It is a hint for
operators, and no state: of each shard the last calls that were met are known, in a table that forgets the one before
where two have the same slot.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

import numpy as np

from models.arrays import I64, U64, Bools
from models.join import Arrivals

_SLOT_BITS: Final = 16
_PART: Final = np.uint64((1 << _SLOT_BITS) - 1)
"""A slot has the rest of the key above, and below the partition plus 1, or that the call has been counted."""
_COUNTED: Final = _PART


class SplitKeys:
    """The partitions on which the last calls of one shard were met; half a megabyte.

    Args:
        report: called with how many calls were found to be split, each at most once while it is known.
    """

    def __init__(self, report: Callable[[int], None]) -> None:
        self._report = report
        self._met: U64 = np.zeros(1 << _SLOT_BITS, np.uint64)

    def take(self, arrivals: Arrivals) -> None:
        """Look at a batch: its calls, and then its outcomes, which are keyed by their calls too."""
        numbers = _numbers(arrivals.partitions)
        for key, partition in (
            (arrivals.calls.key, arrivals.calls.partition),
            (arrivals.outcomes.key, arrivals.outcomes.partition),
        ):
            if len(key):
                self._meet(key, numbers[partition])

    def _meet(self, key: U64, part: U64) -> None:
        slot = (key >> np.uint64(64 - _SLOT_BITS)).astype(np.int64)
        rest = key << np.uint64(_SLOT_BITS)
        split = self._split(slot, rest, part)
        new = (self._met[slot] & ~_PART) != rest
        self._met[slot[new]] = rest[new] | part[new]
        if new.any():  # a call may be twice in the batch
            split |= self._split(slot, rest, part)
        if split.any():
            self._met[slot[split]] = rest[split] | _COUNTED
            self._report(len(np.unique(key[split])))

    def _split(self, slot: I64, rest: U64, part: U64) -> Bools:
        met = self._met[slot]
        met_part = met & _PART
        split: Bools = ((met & ~_PART) == rest) & (met_part != part) & (met_part != _COUNTED) & (met != 0)
        return split


def _numbers(partitions: Sequence[str]) -> U64:
    """The number of each partition plus 1, of names such as `agent.calls/3`."""
    return np.array([int(name.rpartition("/")[2]) + 1 for name in partitions], np.uint64)
