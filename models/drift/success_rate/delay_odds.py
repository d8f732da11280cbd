"""Correction of the detectors for delay: how the odds of failure among arriving trials differ from those among calls.

Failures are often reported faster than successes. When traffic grows, young calls are many, and what arrives of them is
mostly failure, though nothing has got worse; at night it is the other way round. Of n_u calls in minute u a share
g_y(t - u) of those that end as y (0 failure, 1 success) have their trial in minute t, so that at odds o of failure the
trials of minute t have odds o c_t,

    c_t = sum_u n_u g_0(t - u) / sum_u n_u g_1(t - u).

The g are learned per (task type, model), drawn towards those of the task type, from cohorts of calls old enough that
all their trials can be in; as trials later than 72 h are left out, c_t is about the others. Calls are counted by the
minute for two hours, by the hour for three days; all counts are whole, so nothing depends on how minutes come together.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np

from aftercall.times import MINUTES_PER_DAY
from models.arrays import F64, I16, I64, Bools
from models.drift.success_rate.call_counts import CallCounts, Calls
from models.messages import AnyGroup
from models.stats.minute_delays import BUCKETS, EDGES, HORIZON, MIDDLES

PARENT_WEIGHT: Final = 50.0
"""Trials of its own that a model needs for its delays to weigh as much as the task type's."""
OTHER_WEIGHT: Final = 10.0
"""Trials of one kind that a task type needs for their delays to weigh as much as those of both kinds."""
ENOUGH: Final = 30.0
"""Trials that a task type's delays must rest on."""
MOST_ODDS: Final = 50.0
"""Odds are taken for at most this, and at least its inverse: further out nothing was seen that they could rest on."""
UNEXPECTED: Final = 5.0
"""Trials of a minute that prove nothing about what was expected of it."""
BRIEF: Final = 60
"""Minutes: where all trials come within so many, their delays cannot move what arrives for longer."""
_COHORTS: Final = 6
_DAYS: Final = 28.0
"""Days after which a delay weighs 1/e."""
_WIDTHS: Final[F64] = np.diff(EDGES).astype(np.float64)


class Delays:
    """How long trials take, per unit: distributions over the buckets of `models.stats.minute_delays`; 3 kB per unit.

    Attributes:
        shares: share of the trials within 72 h per minute of delay, shape (units, 2, BUCKETS - 1): failures, successes.
        known: whether they rest on enough, shape (units,).
    """

    def __init__(self) -> None:
        self._pending: I64 = np.zeros((0, _COHORTS, 2, BUCKETS), np.int64)
        self._settled: F64 = np.zeros((0, 2, BUCKETS - 1))
        self._parent: I64 = np.zeros(0, np.int64)
        self._wait: I64 = np.zeros(0, np.int64)
        self._first: I64 = np.zeros(0, np.int64)
        """Day of a unit's first trial, -1 before it: its first call was not before that, but for few."""
        self._day = -1
        self.shares: F64 = np.zeros((0, 2, BUCKETS - 1))
        self.known: Bools = np.zeros(0, np.bool_)

    def __len__(self) -> int:
        return len(self._parent)

    def grow(self, parents: list[int], waits: list[int]) -> None:
        """Add units: the unit each is drawn towards (itself where none), and minutes until its cohorts are in."""
        more = len(parents)
        self._pending = np.concatenate((self._pending, np.zeros((more, _COHORTS, 2, BUCKETS), np.int64)))
        self._settled = np.concatenate((self._settled, np.zeros((more, 2, BUCKETS - 1))))
        self._parent = np.concatenate((self._parent, np.array(parents, np.int64)))
        self._wait = np.concatenate((self._wait, np.minimum(np.array(waits, np.int64), HORIZON)))
        self._first = np.concatenate((self._first, np.full(more, -1, np.int64)))
        self.shares = np.concatenate((self.shares, np.zeros((more, 2, BUCKETS - 1))))
        self.known = np.concatenate((self.known, np.zeros(more, np.bool_)))
        self._renew()

    def add(self, unit: I64, minute: I64, success: I64, bucket: I16, count: I64) -> None:
        """Count trials of minutes of the day that has begun."""
        self._first[unit[self._first[unit] < 0]] = self._day
        # A bucket is wide: without this, calls would seem to have been made before there were any.
        called = np.maximum((minute - MIDDLES[bucket]) // MINUTES_PER_DAY, self._first[unit])
        age = np.clip(self._day - called, 0, _COHORTS - 1).astype(np.int64)
        np.add.at(self._pending, (unit, age, success, bucket), count)

    def begin_day(self, day: int) -> None:
        """Release the cohorts that are old enough by the beginning of UTC day `day`. O(units)."""
        gap = day - self._day
        if gap <= 0:
            return
        if self._day >= 0:
            self._settled *= np.exp(-gap / _DAYS)
            shift = min(gap, _COHORTS)
            aged = np.zeros_like(self._pending)
            aged[:, shift:] = self._pending[:, : _COHORTS - shift]
            # What would fall off the end is old enough anyway.
            self._settled += self._pending[:, _COHORTS - shift :, :, :-1].sum(axis=1)
            for age in range(1, _COHORTS):
                ready = (age - 1) * MINUTES_PER_DAY >= self._wait
                self._settled[ready] += aged[ready, age, :, :-1]
                aged[ready, age] = 0
            self._pending = aged
        self._day = day
        self._renew()

    def state(self) -> dict[str, Any]:
        """Plain values and arrays; not a copy."""
        return {
            "pending": self._pending, "settled": self._settled, "parent": self._parent, "wait": self._wait,
            "first": self._first, "day": self._day,
        }  # fmt: skip

    @classmethod
    def from_state(cls, state: dict[str, Any]) -> Delays:
        """The reverse of `state`."""
        delays = cls()
        delays._pending, delays._settled = state["pending"], state["settled"]
        delays._parent, delays._wait = state["parent"], state["wait"]
        delays._first, delays._day = state["first"], state["day"]
        delays._renew()
        return delays

    def _renew(self) -> None:
        both = self._settled.sum(axis=1, keepdims=True)
        whole = self._settled + OTHER_WEIGHT * _normal(both)
        own = self._parent == np.arange(len(self))
        drawn = self._settled + PARENT_WEIGHT * _normal(whole)[self._parent]
        self.shares = _normal(np.where(own[:, None, None], whole, drawn)) / _WIDTHS
        self.known = both.sum(axis=(1, 2))[self._parent] >= ENOUGH


def _normal(counts: F64) -> F64:
    """Shares along the last axis; zeros where there is nothing."""
    sums = counts.sum(axis=-1, keepdims=True)
    shares: F64 = np.divide(counts, sums, out=np.zeros_like(counts), where=sums > 0)
    return shares


def odds(expected: F64, trials: F64 | float = 0.0) -> F64:
    """c_t from the expected arrivals of failures and successes, shape (rows, 2); 1 where nothing is expected.

    `trials` arrived: what is far more than could be expected, as an upload of many at once, is as much of either.
    """
    beyond = np.maximum(trials - UNEXPECTED - 2 * expected.max(axis=1), 0.0)
    failures, successes = expected[:, 0] + beyond, expected[:, 1] + beyond
    found = np.divide(failures, successes, out=np.full(len(expected), MOST_ODDS), where=successes > 0)
    found = np.where(failures + successes > 0, found, 1.0)
    bounded: F64 = np.clip(found, 1 / MOST_ODDS, MOST_ODDS)
    return bounded


class DelayOdds:
    """c_t of every watch. A watch has the delays of its unit: of its (task type, model), or of its task type."""

    def __init__(self, state: dict[str, Any] | None = None) -> None:
        """Start fresh, or from the `state()` of another instance."""
        self.delays = Delays() if state is None else Delays.from_state(state["delays"])
        self._counts = CallCounts() if state is None else CallCounts.from_state(state["counts"])
        self._unit: I64 = np.zeros(0, np.int64) if state is None else state["unit"]

    def grow(self, groups: list[AnyGroup], parent: I64, waits: I64) -> None:
        """Make room for all watches; `groups`, `parent` as in `series.py`, `waits` in minutes."""
        known = len(self._unit)
        unit, parents, new_waits = self._unit.tolist(), list[int](), list[int]()
        for watch in range(known, len(groups)):
            _, model, config = groups[watch]
            above = unit[parent[watch]] if model is not None else len(self.delays) + len(parents)
            if config is None:
                unit.append(len(self.delays) + len(parents))
                parents.append(above)
                new_waits.append(int(waits[watch]))
            else:
                unit.append(above)
        self._unit = np.array(unit, np.int64)
        self._counts.grow(len(groups))
        if parents:
            self.delays.grow(parents, new_waits)

    def learn(self, watch: I64, minute: I64, success: I64, bucket: I16, count: I64) -> None:
        """Trials of models and task types, of minutes of the day that has begun."""
        self.delays.add(self._unit[watch], minute, success, bucket, count)

    def at(self, calls: Calls, watch: I64, minute: I64, trials: F64) -> F64:
        """Count calls of minutes after those counted before; returns c_t per row of such minutes, in any order.

        1 where the delays are not known. `trials`: of each row.
        """
        order = np.argsort(minute, kind="stable")
        unit = self._unit[watch[order]]
        expected = self._counts.arriving(calls, watch[order], minute[order], self.delays.shares, unit)
        found = np.empty(len(watch))
        found[order] = np.where(self.delays.known[unit], odds(expected, trials[order]), 1.0)
        return found

    def known(self, watch: I64) -> Bools:
        """Whether the delays of watches are known."""
        return self.delays.known[self._unit[watch]]

    def state(self) -> dict[str, Any]:
        """Plain values and arrays; not a copy."""
        return {"delays": self.delays.state(), "counts": self._counts.state(), "unit": self._unit}
