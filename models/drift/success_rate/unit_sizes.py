"""How many trials of a watch share a unit, and how far that widens the interval of its rate.

The variance of the rate of n trials is that of n independent ones times the design effect

    1 + rho * (sum of n_u (n_u - 1)) / (sum of n_u),

n_u the trials of unit u (Kish 1965, section 5.4; of sizes that differ: Kish 1987, section 8.2). A call without a unit
is a unit of one. Sums of a day are whole numbers, so no cut of the minutes changes them; older days are discounted.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np

from models.arrays import F64, I64

_DAYS: Final = 14.0
"""Days after which a trial weighs 1/e: as long as two of the longest spans that rates are shown of."""
_TRIALS, _PAIRS, _EXCESS = 0, 1, 2


class UnitSizes:
    """Trials, ordered pairs of trials of one unit, and what bursts share, per watch; 48 bytes each."""

    def __init__(self, state: dict[str, Any] | None = None) -> None:
        """Start empty, or from the `state()` of another instance."""
        none = np.zeros((3, 0))
        self._past, self._today = none, none
        if state is not None:
            self._past, self._today = (_with_excess(state[name]) for name in ("past", "today"))

    def grow(self, watches: int) -> None:
        """Make room for at least `watches` watches."""
        more = np.zeros((3, max(watches - self._past.shape[1], 0)))
        if more.size:
            self._past = np.concatenate((self._past, more), axis=1)
            self._today = np.concatenate((self._today, more), axis=1)

    def begin_day(self, days: int) -> None:
        """A day begins, so many days after the one before."""
        self._past = (self._past + self._today) * np.exp(-days / _DAYS)
        self._today = np.zeros_like(self._today)

    def add(self, watch: I64, trials: F64) -> None:
        """Count trials, of calls with a unit and without; both of shape (rows,)."""
        self._today[_TRIALS] += np.bincount(watch, trials, self._today.shape[1])

    def pair(self, watch: I64, pairs: I64) -> None:
        """Count ordered pairs of trials of one unit; both of shape (rows,)."""
        self._today[_PAIRS] += np.bincount(watch, pairs, self._today.shape[1])

    def exceed(self, watch: I64, excess: F64) -> None:
        """Count trials by which the variance of what came in bursts exceeds that of independent ones."""
        self._today[_EXCESS] += np.bincount(watch, excess, self._today.shape[1])

    def design_effects(self, rho: F64) -> F64:
        """Of the rate of each watch, >= 1; exactly 1 where no two trials share a unit. Shape (watches,).

        Args:
            rho: correlation within units of each watch, shape (watches,).
        """
        trials, pairs, excess = self._past + self._today
        return np.asarray(1.0 + (rho * pairs + excess) / np.maximum(trials, 1e-300))

    def state(self) -> dict[str, Any]:
        """Plain values and arrays; not a copy."""
        return {"past": self._past, "today": self._today}


def _with_excess(stored: F64) -> F64:
    """An earlier version did not know what bursts share."""
    return stored if len(stored) > _EXCESS else np.concatenate((stored, np.zeros((1, stored.shape[1]))))
