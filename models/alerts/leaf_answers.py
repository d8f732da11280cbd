"""Calls and verdicts of sources, of every (task_type, model, config) over the last weeks: who answers, and when."""

from __future__ import annotations

from typing import Any, Final, NamedTuple

import numpy as np

from aftercall.times import MINUTES_PER_DAY, MINUTES_PER_HOUR
from aftercall.vocabulary import CALL, RESERVED_SOURCES
from models.arrays import I64
from models.columns.minute_rows import MinuteRows
from models.messages import Closed, Group
from models.stats.minute_delays import MIDDLES

_TENTHS: Final = 10
"""Minutes in which waits are summed."""
_DAYS: Final = 13


class Answers(NamedTuple):
    """Calls that sources may judge, verdicts that they gave, and how long these took on average, minutes."""

    calls: float
    answered: float
    wait: float


class LeafAnswers:
    """Rows (leaf, minute, calls, verdicts, waits) of 20 bytes; a call that failed by itself asks no source."""

    def __init__(self, state: dict[str, Any] | None = None) -> None:
        """Start empty, or with the `state()` of another instance."""
        state = {"names": [], "rows": np.zeros((5, 0), np.int32)} if state is None else state
        self._code: dict[Group, int] = {name: code for code, name in enumerate(state["names"])}
        self._rows = MinuteRows(state["rows"])

    def state(self) -> dict[str, Any]:
        """Plain values and arrays; not a copy."""
        return {"names": list(self._code), "rows": self._rows.rows()}

    def add(self, closed: Closed, begin: int, end: int) -> None:
        """Take in minutes `begin` <= minute < `end`, which come after all that were taken in before."""
        trials, responses = closed.trials, closed.responses
        by_call = np.array([source == CALL for source in closed.sources], np.bool_)[responses.source]
        reserved = np.array([source in RESERVED_SOURCES for source in closed.sources], np.bool_)[responses.source]
        waits = np.rint(MIDDLES[responses.bucket] * responses.trials / _TENTHS).astype(np.int64)
        none = np.zeros(len(responses.code), np.int64)
        parts = (
            # A failed attempt is a call and a trial by `call`: together nothing.
            (trials, trials.calls, 0 * trials.calls, 0 * trials.calls),
            (responses, -responses.trials * by_call, responses.trials * ~reserved, np.where(reserved, none, waits)),
        )
        code, minute = (np.concatenate([getattr(part[0], name) for part in parts]) for name in ("code", "minute"))
        counts = np.stack([np.concatenate([part[at] for part in parts]) for at in (1, 2, 3)])
        some = (minute >= begin) & (minute < end) & counts.any(axis=0)
        if not some.any():
            return
        code, minute, counts = code[some], minute[some], counts[:, some]
        # In order of time and name, which no cut of the messages can change.
        order = np.lexsort((code, minute))
        used, first = np.unique(code[order], return_index=True)
        for at in np.argsort(first, kind="stable").tolist():
            self._code.setdefault(closed.names[used[at]], len(self._code))
        leaf = np.array([self._code.get(name, -1) for name in closed.names], np.int64)
        self._rows.add(np.stack((leaf[code[order]], minute[order], *counts[:, order])).astype(np.int32))

    def compared(self, leaves: set[Group], now: int, start: int, changed: int) -> tuple[Answers, Answers]:
        """Before and since a change, of some leaves; of the days before only the hours of the day that are in both.

        Args:
            leaves: by name.
            now: the present minute.
            start: minute from which the level before the change held.
            changed: minute of the change.
        """
        hour = changed // MINUTES_PER_HOUR * MINUTES_PER_HOUR
        end = -(-now // MINUTES_PER_HOUR) * MINUTES_PER_HOUR
        since = self._sum(leaves, now, changed, now)
        if end - hour >= MINUTES_PER_DAY:
            return self._sum(leaves, now, start, hour), since
        spans = [(hour - day * MINUTES_PER_DAY, end - day * MINUTES_PER_DAY) for day in range(1, _DAYS + 1)]
        parts = [self._sum(leaves, now, low, min(high, hour)) for low, high in spans if low >= start]
        answered = sum(part.answered for part in parts)
        waited = sum(part.wait * part.answered for part in parts)
        before = Answers(sum(part.calls for part in parts), answered, waited / answered if answered else 0.0)
        return before, since

    def _sum(self, leaves: set[Group], now: int, begin: int, end: int) -> Answers:
        starts: I64 = np.full(len(self._code), begin, np.int64)
        rows = self._rows.between(now, starts, end)
        inside = np.array([name in leaves for name in self._code], np.bool_)
        calls, answered, waits = (float(column[inside[rows[0]]].sum(dtype=np.int64)) for column in rows[2:])
        return Answers(calls, answered, waits * _TENTHS / answered if answered else 0.0)
