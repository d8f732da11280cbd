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

from typing import Any, Final, NamedTuple

import numpy as np

from models.dispersion import MINUTES_PER_DAY, MINUTES_PER_HOUR
from models.streams import F64, I16, I64, Bools
from models.trial_delay import BUCKETS, EDGES, HORIZON, MIDDLES

PARENT_WEIGHT: Final = 50.0
"""Verdicts of its own that a model needs for its delays to weigh as much as the task type's."""
ENOUGH: Final = 30.0
"""Trials of each kind that a task type's delays must rest on."""
MOST: Final = 50.0
"""Odds are taken for at most this, and at least its inverse: further out nothing was seen that they could rest on."""
_RECENT: Final = 2 * MINUTES_PER_HOUR
_HOURS: Final = HORIZON // MINUTES_PER_HOUR + 3
_COHORTS: Final = 6
_DAYS: Final = 28.0
"""Days after which a delay weighs 1/e."""
_ELEMENTS: Final = 1 << 22
_WIDTHS: Final[F64] = np.diff(EDGES).astype(np.float64)
_NEAR: Final = int(np.searchsorted(EDGES, _RECENT, side="right"))
"""Edges that are looked up by the minute."""


class Delays:
    """How long trials take, per unit: distributions over the buckets of `models.trial_delay`; 3 kB per unit.

    Attributes:
        shares: share of the trials within 72 h per minute of delay, shape (units, 2, BUCKETS - 1): failures, successes.
        known: whether they rest on enough, shape (units,).
    """

    def __init__(self) -> None:
        self._pending: I64 = np.zeros((0, _COHORTS, 2, BUCKETS), np.int64)
        self._settled: F64 = np.zeros((0, 2, BUCKETS - 1))
        self._parent: I64 = np.zeros(0, np.int64)
        self._wait: I64 = np.zeros(0, np.int64)
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
        self.shares = np.concatenate((self.shares, np.zeros((more, 2, BUCKETS - 1))))
        self.known = np.concatenate((self.known, np.zeros(more, np.bool_)))
        self._renew()

    def add(self, unit: I64, minute: I64, success: I64, bucket: I16, count: I64) -> None:
        """Count trials of minutes of the day that has begun."""
        called = (minute - MIDDLES[bucket]) // MINUTES_PER_DAY
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
            "day": self._day,
        }  # fmt: skip

    @classmethod
    def from_state(cls, state: dict[str, Any]) -> Delays:
        """The reverse of `state`."""
        delays = cls()
        delays._pending, delays._settled = state["pending"], state["settled"]
        delays._parent, delays._wait, delays._day = state["parent"], state["wait"], state["day"]
        delays._renew()
        return delays

    def _renew(self) -> None:
        parent = self._settled[self._parent]
        parent_total = parent.sum(axis=2, keepdims=True)
        own = self._parent == np.arange(len(self))
        weight = np.where(own[:, None, None], 0.0, PARENT_WEIGHT)
        drawn = self._settled + weight * np.divide(
            parent, parent_total, out=np.zeros_like(parent), where=parent_total > 0
        )
        sums = drawn.sum(axis=2, keepdims=True)
        self.shares = np.divide(drawn, sums * _WIDTHS, out=np.zeros_like(drawn), where=sums > 0)
        self.known = (parent_total[..., 0] >= ENOUGH).all(axis=1)


class Calls(NamedTuple):
    """Calls accepted per watch and minute, sorted by minute."""

    watch: I64
    minute: I64
    count: I64  # type: ignore[assignment]  # a column, not the method of tuples


class CallCounts:
    """Calls of each watch up to each of the last minutes and hours; 1.6 kB per watch."""

    def __init__(self) -> None:
        self._recent: I64 = np.zeros((0, _RECENT + 1), np.int64)
        self._hours: I64 = np.zeros((0, _HOURS), np.int64)
        self._minute = -1
        """The last minute counted: the last column of `_recent` is up to its end."""

    def grow(self, watches: int) -> None:
        """Make room for at least `watches` watches."""
        more = watches - len(self._recent)
        if more > 0:
            self._recent = np.concatenate((self._recent, np.zeros((more, _RECENT + 1), np.int64)))
            self._hours = np.concatenate((self._hours, np.zeros((more, _HOURS), np.int64)))

    def arriving(self, calls: Calls, watch: I64, minute: I64, shares: F64, unit: I64) -> F64:
        """Count calls, and expect trials.

        Args:
            calls: of minutes after those counted before.
            watch: whose trials, shape (rows,), sorted by minute.
            minute: of the trials, after those counted before.
            shares: `Delays.shares`.
            unit: row of `shares`, per row.

        Returns:
            Shape (rows, 2): sum over earlier and present minutes of calls times the share with a trial in `minute`.
        """
        out = np.zeros((len(watch), 2))
        last = (
            max(int(part.max()) for part in (calls.minute, minute) if len(part))
            if len(minute) + len(calls.minute)
            else -1
        )
        if self._minute < 0 and last >= 0:
            firsts = [int(part.min()) for part in (calls.minute, minute) if len(part)]
            self._minute = min(firsts) - 1
        while self._minute < last:
            width = max(1, min(_ELEMENTS // max(1, len(self._recent)), MINUTES_PER_DAY, last - self._minute))
            upto = self._minute + width
            some = slice(*np.searchsorted(calls.minute, (self._minute + 1, upto + 1)).tolist())
            rows = slice(*np.searchsorted(minute, (self._minute + 1, upto + 1)).tolist())
            known, hours, first_hour = self._counted(Calls(*(column[some] for column in calls)), width)
            at = minute[rows] - self._minute + _RECENT
            out[rows] = _expected(known, hours, first_hour, watch[rows], at, minute[rows], shares, unit[rows])
            self._minute = upto
            self._recent = known[:, -(_RECENT + 1) :].copy()
            self._hours = hours[:, -_HOURS:].copy()
        return out

    def _counted(self, calls: Calls, width: int) -> tuple[I64, I64, int]:
        """Running counts at the ends of minutes and at the beginnings of hours, with `width` more minutes."""
        known = np.zeros((len(self._recent), _RECENT + 1 + width), np.int64)
        np.add.at(known, (calls.watch, calls.minute - self._minute + _RECENT), calls.count)
        np.cumsum(known, axis=1, out=known)
        known[:, _RECENT + 1 :] += self._recent[:, -1:]
        known[:, : _RECENT + 1] = self._recent
        # The last of `_hours` is the beginning of the hour after the last minute counted, or that hour's own beginning.
        newest = (self._minute + 1) // MINUTES_PER_HOUR
        first = newest - _HOURS + 1
        begins = np.arange(newest + 1, (self._minute + width + 1) // MINUTES_PER_HOUR + 1) * MINUTES_PER_HOUR
        more = known[:, begins - 1 - self._minute + _RECENT]
        return known, np.concatenate((self._hours, more), axis=1), first

    def state(self) -> dict[str, Any]:
        """Plain values and arrays; not a copy."""
        return {"recent": self._recent, "hours": self._hours, "minute": self._minute}

    @classmethod
    def from_state(cls, state: dict[str, Any]) -> CallCounts:
        """The reverse of `state`."""
        counts = cls()
        counts._recent, counts._hours, counts._minute = state["recent"], state["hours"], state["minute"]
        return counts


def _expected(known: I64, hours: I64, first_hour: int, watch: I64, at: I64, minute: I64, shares: F64, unit: I64) -> F64:
    """As `CallCounts.arriving`; `at` is the column of `known` of each row's minute."""
    out = np.zeros((len(watch), 2))
    younger = known[watch, at].astype(np.float64)
    for k in range(BUCKETS - 1):
        if k + 1 < _NEAR:
            older = known[watch, at - EDGES[k + 1]].astype(np.float64)
        else:
            begins = minute - EDGES[k + 1] + 1
            hour = begins // MINUTES_PER_HOUR - first_hour
            part = (begins % MINUTES_PER_HOUR) / MINUTES_PER_HOUR
            low, high = hours[watch, hour], hours[watch, hour + 1]
            older = low + part * (high - low)
        # One product after the other: a sum over an axis may depend on the array's shape.
        out += shares[unit, :, k] * (younger - older)[:, None]
        younger = older
    return out


def odds(expected: F64) -> F64:
    """c_t from the expected arrivals of failures and successes, shape (rows, 2); 1 where nothing is expected."""
    failures, successes = expected[:, 0], expected[:, 1]
    found = np.divide(failures, successes, out=np.full(len(expected), MOST), where=successes > 0)
    found = np.where(failures + successes > 0, found, 1.0)
    bounded: F64 = np.clip(found, 1 / MOST, MOST)
    return bounded
