"""How many calls there were up to each of the last minutes and hours, and what may be expected to arrive of them."""

from __future__ import annotations

from typing import Any, Final, NamedTuple

import numpy as np

from aftercall.times import MINUTES_PER_DAY, MINUTES_PER_HOUR
from models.arrays import F64, I64
from models.messages import TrialDeltas
from models.stats.minute_delays import BUCKETS, EDGES, HORIZON

_RECENT: Final = 2 * MINUTES_PER_HOUR
_HOURS: Final = HORIZON // MINUTES_PER_HOUR + 3
_ELEMENTS: Final = 1 << 22
_NEAR: Final = int(np.searchsorted(EDGES, _RECENT, side="right"))
"""Edges that are looked up by the minute."""


class Calls(NamedTuple):
    """Calls accepted per watch and minute, sorted by minute."""

    watch: I64
    minute: I64
    count: I64  # type: ignore[assignment]  # a column, not the method of tuples


def calls_of(levels: I64, trials: TrialDeltas) -> Calls:
    """The calls of a message's rows, of each level's watch; `levels`: watches of its names, shape (levels, names)."""
    watch = levels[:, trials.code].ravel()
    minute = np.tile(trials.minute.astype(np.int64), len(levels))
    calls = np.tile(trials.calls, len(levels))
    called = np.argsort(minute, kind="stable")
    called = called[calls[called] != 0]
    return Calls(watch[called], minute[called], calls[called].astype(np.int64))


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
