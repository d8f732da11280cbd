"""Learns how late the calls of each group usually come, and tells those apart that come later than that.

A detector takes what it reads for the present. A call that comes an hour after its own time can be placed there; one of
days ago can not, unless the group always uploads its calls each night, or each week: then the upload is how one learns
of it. Usual is what at least three days, and 70 % of the last seven days with calls of the group, have had at their
latest. A backfill on a few days is not. The present day never counts, so nothing depends on how minutes close together.
"""

from __future__ import annotations

from typing import Any, Final, NamedTuple

import numpy as np

from aftercall.times import MINUTES_PER_DAY
from models.arrays import I8, I32, Bools
from models.messages import Attempts, TrialDeltas, Values
from models.stats.lateness import IN_TIME, TOO_LATE

_DAYS: Final = 7
"""Days with calls that are remembered."""
_FEWEST: Final = 3
_SHARE: Final = 0.7
STRIDE: Final = 1 << 24
"""A row's code is that of its group plus so many times its class of lateness."""
_NO_CALLS: Final = -1
_NO_DAY: Final = -1


class UsualLateness:
    """Of all groups, by their codes; 9 bytes each."""

    def __init__(self, state: dict[str, Any] | None = None) -> None:
        """Start without groups, or from a `state()`."""
        kept = state or {"day": _NO_DAY, "now": np.zeros(0, np.int8), "past": np.zeros((0, _DAYS), np.int8)}
        self._day: int = kept["day"]
        self._now: I8 = kept["now"]
        """The latest class of the present day, shape (groups,)."""
        self._past: I8 = kept["past"]
        """The same of the last days with calls, the newest first, shape (groups, _DAYS)."""
        self._usual = _usual(self._past)

    def state(self) -> dict[str, Any]:
        """Plain values and arrays; not a copy."""
        return {"day": self._day, "now": self._now, "past": self._past}

    def grow(self, groups: int) -> None:
        """Make room for so many groups."""
        more = groups - len(self._now)
        if more > 0:
            self._now = np.concatenate((self._now, np.full(more, _NO_CALLS, np.int8)))
            self._past = np.concatenate((self._past, np.full((more, _DAYS), _NO_CALLS, np.int8)))
            self._usual = np.concatenate((self._usual, np.zeros(more, np.int8)))

    def sorted_out(self, tables: list[Any]) -> tuple[list[Any], list[Any]]:
        """Rows of closed minutes, tables with the columns `code` and `minute`, trials first.

        Returns:
            The tables with the rows whose calls came as late as usual; and with the others.
        """
        kept = [np.ones(len(table.code), np.bool_) for table in tables]
        days = [table.minute // MINUTES_PER_DAY for table in tables]
        for day in np.unique(np.concatenate(days)).tolist():
            self._begin_day(day)
            for table, placed, of in zip(tables, kept, days, strict=True):
                here = of == day
                placed[here] = self._placed(table.code[here])
            self._note(tables[0], days[0] == day)
        if all(placed.all() for placed in kept):
            return tables, [_none(table) for table in tables]
        pairs = list(zip(tables, kept, strict=True))
        return [_rows(table, placed) for table, placed in pairs], [_rows(table, ~placed) for table, placed in pairs]

    def _begin_day(self, day: int) -> None:
        if day <= self._day:
            return
        self._day = day
        called = self._now != _NO_CALLS
        self._past[called, 1:] = self._past[called, :-1]
        self._past[called, 0] = self._now[called]
        self._now[:] = _NO_CALLS
        self._usual = _usual(self._past)

    def _placed(self, code: I32) -> Bools:
        placed: Bools = code // STRIDE <= self._usual[code % STRIDE]
        return placed

    def _note(self, trials: TrialDeltas, chosen: Bools) -> None:
        called = chosen & (trials.calls > 0)
        code = trials.code[called]
        np.maximum.at(self._now, code % STRIDE, (code // STRIDE).astype(np.int8))


def _usual(past: I8) -> I8:
    """The class up to which calls are placed, shape (groups,)."""
    days = (past != _NO_CALLS).sum(axis=1)
    rank = np.maximum(_FEWEST, np.ceil(_SHARE * days).astype(np.int64))
    latest = -np.sort(-past, axis=1)
    found = latest[np.arange(len(past)), np.minimum(rank, _DAYS) - 1] if len(past) else past[:, 0]
    usual: I8 = np.where(days >= _FEWEST, np.clip(found, IN_TIME, TOO_LATE - 1), IN_TIME).astype(np.int8)
    return usual


def _rows(table: Any, chosen: Bools) -> Any:
    return type(table)(*(column[chosen] for column in table))


def _none(table: Any) -> Any:
    return type(table)(*(column[:0] for column in table))


class LateCalls(NamedTuple):
    """Calls of a task type that came too late to say anything about the present.

    Attributes:
        minute: in which they came.
        fresh: how many in it.
        of_day: how many within its UTC day so far.
        oldest, newest: of those, us.
    """

    task_type: str
    minute: int
    fresh: int
    of_day: int
    oldest: int
    newest: int


class CameLate:
    """Counts them per task type and UTC day of their coming."""

    def __init__(self, state: dict[str, tuple[int, int, int, int]] | None = None) -> None:
        """Start empty, or from a `state()`."""
        self._of_day = {} if state is None else dict(state)
        """Day, count, oldest and newest."""

    def state(self) -> dict[str, tuple[int, int, int, int]]:
        """Plain values."""
        return self._of_day

    def add(self, tasks: list[str], trials: TrialDeltas, attempts: Attempts, values: Values) -> list[LateCalls]:
        """Rows of closed minutes; `tasks`: by group. Returns those by minute and task type.

        Failed attempts are no calls here.
        """
        counts: dict[tuple[int, str], int] = {}
        for table, column, sign in ((trials, trials.calls, 1), (attempts, attempts.count, -1)):
            rows = zip(table.minute.tolist(), (table.code % STRIDE).tolist(), column.tolist(), strict=True)
            for minute, code, count in rows:
                key = minute, tasks[code]
                counts[key] = counts.get(key, 0) + sign * count
        times: dict[tuple[int, str], list[int]] = {}
        for minute, code, at in zip(
            values.minute.tolist(), (values.code % STRIDE).tolist(), values.at.tolist(), strict=True
        ):
            times.setdefault((minute, tasks[code]), []).append(at)
        return [self._counted(*key, counts[key], times[key]) for key in sorted(counts) if counts[key] > 0]

    def _counted(self, minute: int, task: str, fresh: int, times: list[int]) -> LateCalls:
        day = minute // MINUTES_PER_DAY
        known = self._of_day.get(task)
        count, oldest, newest = fresh, min(times), max(times)
        if known is not None and known[0] == day:
            count, oldest, newest = known[1] + fresh, min(known[2], oldest), max(known[3], newest)
        self._of_day[task] = (day, count, oldest, newest)
        return LateCalls(task, minute, fresh, count, oldest, newest)
