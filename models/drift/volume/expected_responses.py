"""How many statements of each source are due in an hour, from the calls of the last 72 hours and their usual delays.

Of the calls that reach an age in bucket k (models.stats.minute_delays), a source has answered a share p_k there:
statements with such a delay over calls that came through it. Censored calls count for the ages they have reached and
no others, as in a life table (Kaplan and Meier 1958), so the shares are right from the first hours on, whatever
traffic does. A call that has been answered is due no more: of those still open at that age the source answers the
hazard h_k, and what is due in an hour is the sum over k of h_k times the open calls that pass through k in it.

A source that says several things of a call, m on average, has answered a call with m statements. Which calls those of
an hour were, their delays tell up to the width of a bucket: they are taken to be spread over the open calls there.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np

from aftercall.times import HOURS_PER_DAY
from models.arrays import F64, I64, Bools
from models.stats.minute_delays import BUCKETS, EDGES, HORIZON

AGES: Final = BUCKETS - 1
"""Buckets that calls are followed through: all but the last, which has no end."""
_MINUTES: Final = 60
LAGS: Final = HORIZON // _MINUTES + 1
"""Hours for which a call is remembered, its own included."""
_LEAST: Final = 1e-9
_DAILY = 0.95
"""What a day counts for one day later."""


def _passage() -> F64:
    """The share of a bucket's minutes that calls of an hour spend in the hour `lag` later, shape (AGES, LAGS).

    Calls are taken to be spread evenly over the minutes of their hour.
    """
    share = np.zeros((AGES, LAGS))
    for k in range(AGES):
        ages = np.arange(EDGES[k], EDGES[k + 1])
        lags = (ages[:, None] + np.arange(_MINUTES)) // _MINUTES
        share[k] = np.bincount(lags.ravel(), minlength=LAGS)[:LAGS] / lags.size
    return share


PASSAGE: F64 = _passage()


class RecentCalls:
    """Calls per task and hour over the last 72 hours, 600 bytes a task."""

    def __init__(self, state: F64 | None = None) -> None:
        """Start without tasks, or from `calls`."""
        self.calls: F64 = np.zeros((0, LAGS)) if state is None else state
        """Newest hour first, shape (tasks, LAGS)."""

    def add(self, tasks: int) -> None:
        """Room for this many more."""
        self.calls = np.concatenate((self.calls, np.zeros((tasks, LAGS))))

    def step(self, calls: F64) -> F64:
        """The calls of one more hour, shape (tasks,); returns those that passed through each age, (tasks, AGES)."""
        self.calls[:, 1:] = self.calls[:, :-1].copy()
        self.calls[:, 0] = calls
        passed: F64 = self.calls @ PASSAGE.T
        return passed


class ResponseDelays:
    """The shares p_k of many (task, source), about 700 bytes each."""

    def __init__(self, state: dict[str, Any] | None = None) -> None:
        """Start without any, or from a `state()`."""
        self._answered: F64 = np.zeros((0, AGES))
        self._passed: F64 = np.zeros((0, AGES))
        self._at_risk: F64 = np.zeros((0, AGES))
        """Open calls that passed."""
        self._done: F64 = np.zeros((0, LAGS))
        """Statements on the calls of each hour, the newest first."""
        if state is not None:
            self._answered, self._passed = state["answered"], state["passed"]
            # An earlier version expected answers of all calls.
            self._at_risk = state.get("at_risk", self._passed.copy())
            self._done = state.get("done", np.zeros((len(self._passed), LAGS)))

    def state(self) -> dict[str, Any]:
        """Plain arrays; not a copy."""
        return {
            "answered": self._answered,
            "passed": self._passed,
            "at_risk": self._at_risk,
            "done": self._done,
        }

    def add(self, count: int) -> None:
        """Room for this many more."""
        self._answered = np.concatenate((self._answered, np.zeros((count, AGES))))
        self._passed = np.concatenate((self._passed, np.zeros((count, AGES))))
        self._at_risk = np.concatenate((self._at_risk, np.zeros((count, AGES))))
        self._done = np.concatenate((self._done, np.zeros((count, LAGS))))

    def keep(self, kept: Bools) -> None:
        """Forget the others."""
        self._answered, self._passed = self._answered[kept], self._passed[kept]
        self._at_risk, self._done = self._at_risk[kept], self._done[kept]

    def relearn(self, rows: I64) -> None:
        """Forget what was learned of these."""
        self._answered[rows] = self._passed[rows] = self._at_risk[rows] = 0.0

    @property
    def shares(self) -> F64:
        """p_k, shape (watches, AGES); their sum is how many statements a call will have had after 72 hours."""
        return self._answered / np.maximum(self._passed, 1.0)

    def due(self, calls: F64) -> F64:
        """Statements due in an hour of the calls of the last ones, `RecentCalls.calls`; returns (watches,).

        An hour begins with this: what was said on earlier ones moves on by one.
        """
        self._done[:, 1:] = self._done[:, :-1].copy()
        self._done[:, 0] = 0.0
        hazards = self._answered / np.maximum(self._at_risk, 1.0)
        expected: F64 = (hazards * (self._open(calls) @ PASSAGE.T)).sum(axis=1)
        return expected

    def _open(self, calls: F64) -> F64:
        """Calls of each hour that are still to be answered, shape (watches, LAGS)."""
        several = np.maximum(self.shares.sum(axis=1), 1.0)[:, None]
        still: F64 = np.maximum(calls - self._done / several, 0.0)
        return still

    def learn(self, answered: F64, passed: F64, calls: F64, learning: Bools, *, day_ends: bool) -> None:
        """Statements of an hour by the age of their call, and the calls that passed, both (watches, AGES).

        `calls`: those that `due` had.
        """
        still = self._open(calls)
        at_risk = still @ PASSAGE.T
        self._at_risk[learning] += at_risk[learning]
        self._close(answered, still, at_risk, calls)
        fade = _DAILY if day_ends else 1.0
        self._at_risk[learning] *= fade
        self._answered[learning] = (self._answered[learning] + answered[learning]) * fade
        self._passed[learning] = (self._passed[learning] + passed[learning]) * fade

    def _close(self, answered: F64, still: F64, at_risk: F64, calls: F64) -> None:
        """Count statements with the calls of their hours: open ones, or where there are none any."""
        of_any = calls @ PASSAGE.T
        from_open = np.where(at_risk > 0, answered / np.maximum(at_risk, _LEAST), 0.0)
        from_any = np.where((at_risk <= 0) & (of_any > 0), answered / np.maximum(of_any, _LEAST), 0.0)
        self._done += still * (from_open @ PASSAGE) + calls * (from_any @ PASSAGE)


def day_ends(hour: int) -> bool:
    """Whether `hour` is the last of its UTC day."""
    return hour % HOURS_PER_DAY == HOURS_PER_DAY - 1
