"""Which share of an arm's outcomes each declared segment of its task type has."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final, NamedTuple

import numpy as np

from aftercall.times import MINUTE_US
from models.arrays import F64, I64
from models.columns.minute_rows import SlotRows

ALL: Final = ""
"""Stands for all calls of an arm."""


class SegmentShares(NamedTuple):
    """Of an arm's successes and failures, the shares within each segment, in [0, 1]. Shapes (segments, arms)."""

    successes: F64
    failures: F64


class ArmSegments:
    """Trials per arm and segment of the last two weeks, by slots of ten minutes, of an hour, and of a day, as they age.

    A verdict that is changed is a trial more here, while the counts of the arm follow what stands: so what is taken
    from here are shares, by which the arm's own counts are split.

    Args:
        memory_us: time constant with which older trials lose weight, microseconds.
        state: of another instance, or None.
    """

    def __init__(self, memory_us: int, state: dict[str, Any] | None = None) -> None:
        kept = state or {"codes": [], "rows": np.zeros((4, 0), np.int32), "since": []}
        self._memory_us = memory_us
        self._codes: dict[tuple[int, str], int] = {tuple(key): code for code, key in enumerate(kept["codes"])}
        self._rows = SlotRows(kept["rows"])
        self._since: dict[int, int] = dict(kept["since"])
        """By arm the first minute that counts."""

    def state(self) -> dict[str, Any]:
        """Plain values and arrays; not a copy."""
        return {"codes": list(self._codes), "rows": self._rows.rows(), "since": list(self._since.items())}

    def add(self, arms: I64, segments: Sequence[str], minutes: I64, successes: I64, failures: I64) -> None:
        """Take in trials of closed minutes that are not before those taken in so far; segment `ALL`: of all calls."""
        keys = zip(arms.tolist(), segments, strict=True)
        codes = [self._codes.setdefault(key, len(self._codes)) for key in keys]
        if codes:
            self._rows.add(np.array((codes, minutes, successes, failures), np.int32))

    def forget_before(self, arm: int, since: int) -> None:
        """Keep only the trials of an arm from `since` (microseconds) on; what an earlier call forgot stays so."""
        self._since[arm] = max(-(-since // MINUTE_US), self._since.get(arm, 0))

    def shares(self, now: int, arms: Sequence[int], segments: Sequence[str]) -> SegmentShares:
        """Of these arms and segments at `now` (microseconds); 0 where an arm had no outcome of that kind since.

        Only trials of minutes that ended by now may have been taken in.
        """
        minute = now // MINUTE_US
        begin = np.array([self._since.get(arm, 0) for arm, _ in self._codes], np.int64)
        found: I64 = self._rows.between(minute, begin, minute).astype(np.int64)
        age = (minute - found[1]) * (MINUTE_US / self._memory_us)
        weight = np.exp(-age)
        sums = [np.bincount(found[0], weight * found[row], len(begin)) for row in (2, 3)]
        place = {arm: at for at, arm in enumerate(arms)}
        number = {segment: at for at, segment in enumerate((*segments, ALL))}
        tables = np.zeros((2, len(number), len(place)))
        for (arm, segment), code in self._codes.items():
            if arm in place and segment in number:
                tables[:, number[segment], place[arm]] = sums[0][code], sums[1][code]
        whole = tables[:, -1:]
        shares = np.divide(tables[:, :-1], whole, out=np.zeros_like(tables[:, :-1]), where=whole > 0)
        return SegmentShares(*np.minimum(shares, 1.0))
