"""Draws arms by weights: at random, or at the fixed place of a key.

The arms of a segment share [0, 1) in the order of their names, each with a part as long as its weight. A draw is a
place in it. That of a key is a hash, so a key changes its arm only where the end of a part passes its place: of all
keys, at most as many as these ends move, added up. Any language can compute it: SHA-256 of task type, a zero byte and
key, in UTF-8; the first 53 bits are the digits of a binary fraction.
"""

from __future__ import annotations

import os
from bisect import bisect_right
from collections.abc import Collection, Sequence
from hashlib import sha256
from itertools import accumulate
from typing import Final

from aftercall.routes.arms import Arm

TOLERANCE: Final = 1e-6
"""By so much the sum of weights may miss 1: the rounding of those who publish them."""
_BITS: Final = 53
_UNIT: Final = 2.0**-_BITS


class Weights:
    """The arms of one segment that have a weight, ordered by name.

    Args:
        pairs: arm and weight, in any order; weights in [0, 1] that sum to 1.

    Raises:
        ValueError: a weight is out of range, an arm comes twice, or the sum is another.
    """

    __slots__ = ("_ends", "_pairs")

    def __init__(self, pairs: Sequence[tuple[Arm, float]]) -> None:
        if not all(0 <= weight <= 1 for _, weight in pairs):
            raise ValueError("a weight is not a number from 0 to 1")
        if len({arm for arm, _ in pairs}) < len(pairs):
            raise ValueError("an arm comes twice")
        self._pairs = sorted((arm, float(weight)) for arm, weight in pairs if weight > 0)
        self._ends = list(accumulate(weight for _, weight in self._pairs))
        if not self._ends or abs(self._ends[-1] - 1) > TOLERANCE:
            raise ValueError("the weights do not sum to 1")

    def at(self, place: float, allowed: Collection[tuple[str, str]] | None = None) -> tuple[Arm, float] | None:
        """The arm at a place, and its probability over all places; None where no allowed arm has a weight.

        Args:
            place: in [0, 1).
            allowed: share the whole among these alone; absent: all.
        """
        pairs, ends = self._pairs, self._ends
        if allowed is not None:
            kept = [pair for pair in pairs if pair[0] in allowed]
            if not kept:
                return None
            if len(kept) < len(pairs):
                return _renormalised(kept, place)
        return pairs[min(bisect_right(ends, place * ends[-1]), len(pairs) - 1)]


def _renormalised(pairs: list[tuple[Arm, float]], place: float) -> tuple[Arm, float]:
    ends = list(accumulate(weight for _, weight in pairs))
    arm, weight = pairs[min(bisect_right(ends, place * ends[-1]), len(pairs) - 1)]
    return arm, min(weight / ends[-1], 1.0)


def place_of(task_type: str, key: object) -> float:
    """The place of a key among the arms of a task type, in [0, 1): the same in every process and language.

    >>> place_of("support_triage", "user-17")
    0.6243392559461868
    """
    return _fraction(sha256(f"{task_type}\0{key}".encode("utf-8", "surrogatepass")).digest())


def random_place() -> float:
    """A place at random, in [0, 1), from the system: neither the program's seed nor a fork repeats it."""
    return _fraction(os.urandom(8))


def _fraction(data: bytes) -> float:
    return (int.from_bytes(data[:8], "big") >> (64 - _BITS)) * _UNIT
