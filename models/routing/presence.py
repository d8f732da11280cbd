"""Which arms are not called any more, although they should be."""

from __future__ import annotations

from collections.abc import Mapping
from math import exp
from typing import Any, Final

import numpy as np

from aftercall.times import DAY_US, NEVER
from models.arrays import F64, I64

MISSED: Final = 20.0
"""So many calls must have been due to an arm that had none: one that is seldom called is not gone."""
FOLLOWED: Final = 0.75
"""From such a share of the calls of a day on, weights are taken to be followed: 1 - total variation distance."""
LISTED_US: Final = 7 * DAY_US
"""How long an arm that is gone is listed."""
_SUMS: Final = 4
_DUE, _OTHERS, _CALLED, _WEIGHED = range(_SUMS)
"""Since an arm's last call: calls due to it by the weights issued, and all of the task type. Of the last day or so: the
arm's calls, and those it should have had."""


class Presence:
    """Counts of one task type: calls are added as minutes are read, and weighed where weights are. 40 bytes an arm."""

    def __init__(self, state: dict[str, Any] | None = None) -> None:
        """Start empty, or from a `state()`; one of before has none."""
        self._new: I64 = np.zeros(0, np.int64)
        self._sums: F64 = np.zeros((_SUMS, 0))
        self._at, self._gone = NEVER, dict[int, int]()
        if state is not None:
            self._new, self._sums, self._at = state["new"], state["sums"], state["at"]
            self._gone = dict(state["gone"])

    def add(self, arms: I64, calls: I64, known: int) -> None:
        """Calls of `known` arms by index, shape (n,)."""
        self._grow(known)
        np.add.at(self._new, arms, np.maximum(calls, 0))

    def weigh(self, now: int, weights: Mapping[int, float], shares: F64, last_call_us: I64, after_us: int) -> None:
        """Find the arms that are gone at `now` (us), and those that are back.

        Args:
            now: not before the last time this was called.
            weights: by arm, that were in force since then.
            shares: of the calls of the last week, by arm, shape (arms,).
            last_call_us: when each arm was last called, shape (arms,).
            after_us: without a call for so long an arm may be gone.
        """
        self._grow(len(shares))
        calls, self._new = self._new, np.zeros_like(self._new)
        weight = np.zeros(len(shares))
        weight[list(weights)] = list(weights.values())
        total = float(calls.sum())
        self._sums[[_CALLED, _WEIGHED]] *= exp(-max(now - self._at, 0) / DAY_US) if self._at > NEVER else 0.0
        self._sums += np.stack((weight * total, np.full(len(shares), total), calls, weight * total))
        self._sums[:_CALLED, calls > 0] = 0.0
        self._at = now
        due = self._sums[_DUE] if self._followed() else shares * self._sums[_OTHERS]
        gone = ((due >= MISSED) & (now - last_call_us >= after_us)).nonzero()[0].tolist()
        back = set((calls > 0).nonzero()[0].tolist())
        self._gone = {arm: at for arm, at in self._gone.items() if arm not in back}
        for arm in gone:
            self._gone.setdefault(arm, now)

    def _followed(self) -> bool:
        called, weighed = self._sums[_CALLED], self._sums[_WEIGHED]
        if min(called.sum(), weighed.sum()) <= 0:
            return False
        apart = 0.5 * np.abs(called / called.sum() - weighed / weighed.sum()).sum()
        return bool(apart <= 1 - FOLLOWED)

    def gone(self, now: int) -> dict[int, bool]:
        """The arms that are gone, and whether they are still listed at `now` (us)."""
        return {arm: now - at < LISTED_US for arm, at in self._gone.items()}

    def _grow(self, known: int) -> None:
        new = known - len(self._new)
        if new > 0:
            self._new = np.append(self._new, np.zeros(new, np.int64))
            self._sums = np.concatenate((self._sums, np.zeros((_SUMS, new))), axis=1)

    def state(self) -> dict[str, Any]:
        """Plain values and arrays; not a copy."""
        return {"new": self._new, "sums": self._sums, "at": self._at, "gone": self._gone}
