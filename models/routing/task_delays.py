"""How long the verdicts of a task type take, learned from its first hours on.

With n_y(d) verdicts y that came d after their calls, and N(d) calls that had been made d before the time of reading,

    F_y(a) = sum_{d <= a} n_y(d) / N(d)  /  sum_d n_y(d) / N(d)

is the distribution of the delay: n_y(d) / N(d) is the share of calls that get a verdict y after d, whatever the traffic
was, so what is still out biases nothing (right truncation, as in `models.stats.delay_distribution`, which waits for
72 h of history). Of delays longer than the task type is old nothing is known: F is 1 there.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np

from aftercall.times import MINUTE_US, MINUTES_PER_DAY
from models.arrays import F64, I64
from models.routing.dated_counts import DatedCounts
from models.stats.minute_delays import BUCKETS, EDGES, HORIZON, MIDDLES

DAYS: Final = 14
"""Verdicts of so many days are counted."""
FEWEST_VERDICTS: Final = 20
"""Verdicts of one kind from which on its delays are known."""
FEWEST_CALLS: Final = 20
"""Delays that fewer calls could have had so far count as if there were none."""
_LONGEST = HORIZON + 12 * 60
_ENDS: F64 = np.append(EDGES[1:], _LONGEST).astype(np.float64)
_ALL_CALLS = 0


class TaskDelays:
    """Counts of one task type. State: about 5 KB, and as much for its calls."""

    def __init__(self) -> None:
        self._days: dict[int, I64] = {}
        """By day of the verdict, counts of shape (2, BUCKETS): failures, successes."""
        self._calls = DatedCounts()
        self._began: int | None = None
        """The minute of the first call: verdicts on earlier ones count for nothing here."""

    def add_calls(self, minutes: I64, quarters: I64, calls: I64) -> None:
        """Calls of closed minutes by the quarter of an hour they were made in, of any arm. Shape (n,) each, n > 0."""
        if self._began is None:
            self._began = int(minutes.min())
        none = np.zeros_like(calls)
        self._calls.add(np.full_like(quarters, _ALL_CALLS), quarters, (none, none, calls))

    def add(self, minutes: I64, success: I64, bucket: I64, count: I64) -> None:
        """Verdicts of closed minutes by kind and bucket of `minute_delays`. Shape (n,) each, minutes ascending."""
        if self._began is None:
            return
        known = minutes - EDGES[bucket] >= self._began
        minutes, success, bucket, count = minutes[known], success[known], bucket[known], count[known]
        days = minutes // MINUTES_PER_DAY
        for day in np.unique(days).tolist():
            here = days == day
            counts = self._days.setdefault(day, np.zeros((2, BUCKETS), np.int64))
            np.add.at(counts, (success[here], bucket[here]), count[here])
            for old in [one for one in self._days if one <= day - DAYS]:
                del self._days[old]

    def shares(self, now: int) -> tuple[F64, F64] | None:
        """F of failures and of successes at the ends of the buckets, as of `now` (us); None while one is unknown.

        For `in_by`.
        """
        if not self._days:
            return None
        counts = np.sum(list(self._days.values()), axis=0)
        if counts.sum(axis=1).min() < FEWEST_VERDICTS:
            return None
        calls = self._could_have(now)
        rates = np.where(calls >= FEWEST_CALLS, np.maximum(counts, 0) / np.maximum(calls, 1.0), 0.0)
        whole = rates.sum(axis=1)
        if whole.min() <= 0:
            return None
        failures, successes = np.cumsum(rates, axis=1) / whole[:, None]
        return failures, successes

    def _could_have(self, now: int) -> F64:
        """Calls that could show each delay in the days that are counted, shape (BUCKETS,)."""
        bins = self._calls.bins(now)
        if not len(bins.start):
            return np.zeros(BUCKETS)
        at = np.stack((bins.start, bins.end), axis=1).ravel().astype(np.float64)
        upto = np.cumsum(bins.calls).astype(np.float64)
        sums = np.stack((upto - bins.calls, upto), axis=1).ravel()
        begin = min(self._days) * MINUTES_PER_DAY * MINUTE_US
        delay = MIDDLES * MINUTE_US
        exposed: F64 = np.interp(now - delay, at, sums) - np.interp(begin - delay, at, sums)
        return exposed

    def state(self, now: int) -> dict[str, Any]:
        """Plain values and arrays, as of `now` (us)."""
        calls = self._calls.state(now)
        return {"days": self._days, "starts": calls["start"], "calls": calls["counts"][-1], "began": self._began}

    @classmethod
    def from_state(cls, state: dict[str, Any]) -> TaskDelays:
        """The reverse of `state`."""
        delays = cls()
        delays._days = dict(state["days"])
        delays._began = state["began"]
        start, calls = state["starts"], state["calls"]
        counts = np.stack((np.zeros_like(calls), np.zeros_like(calls), calls))
        delays._calls = DatedCounts.from_state({"start": start, "arm": start * 0, "counts": counts, "since": {}})
        return delays


def in_by(shares: F64, age_us: F64) -> F64:
    """Share of verdicts that are in at each age, of one of `TaskDelays.shares`. Shape of `age_us`, in [0, 1]."""
    found: F64 = np.interp(age_us / MINUTE_US, np.append(0.0, _ENDS), np.append(0.0, shares))
    return found
