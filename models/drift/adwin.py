"""ADWIN's opinion on the outcomes of busy groups: a number in the evidence of alerts, and never an alert of its own.

ADWIN (Bifet and Gavalda 2007, SIAM Data Mining; river's) keeps the longest window whose halves agree. It makes no
promise over time, but needs no baseline and no model of the change, so where it agrees with CT-SR the alarm hangs on
neither's assumptions. Trials of one minute come in no order; their failures are dealt evenly over it.
"""

from __future__ import annotations

import pickle  # river's detectors have no other form that outlives a process
from collections.abc import Sequence
from importlib.metadata import version
from typing import Any, Final

import numpy as np

from aftercall.times import MINUTE_US, MINUTES_PER_DAY
from models.arrays import I64
from models.messages import AnyGroup, Closed, Group
from models.state import check_river

BUSY: Final = 300
"""Trials on a UTC day from which the group has an opinion the day after."""


class _Window:
    """One group: trials of its present day, and ADWIN where the day before was busy."""

    __slots__ = ("adwin", "count", "day")

    def __init__(self, day: int = -1, count: int = 0, adwin: Any = None) -> None:
        self.day, self.count, self.adwin = day, count, adwin

    def feed(self, minute: int, failures: int, trials: int) -> None:
        day = minute // MINUTES_PER_DAY
        if day != self.day:
            busy = day == self.day + 1 and self.count >= BUSY
            self.adwin = (self.adwin or _adwin()) if busy else None
            self.day, self.count = day, 0
        self.count += trials
        if self.adwin is not None:
            update, told = self.adwin.update, 0
            for place in range(1, trials + 1):
                due = place * failures // trials
                update(0.0 if due > told else 1.0)
                told = due


def _adwin() -> Any:
    from river.drift import ADWIN  # takes 3 s

    return ADWIN()


class SecondOpinion:
    """Windows of (task, model, config), (task, model) and (task); about 2 kB for each busy one."""

    def __init__(self, state: dict[str, Any] | None = None) -> None:
        """Start fresh, or from the `state()` of another instance.

        Raises:
            StateError: where the state's detectors come from another version of river.
        """
        self._windows: dict[AnyGroup, _Window] = {}
        if state is not None:
            check_river(state, "drift")
            self._windows = {group: _Window(*plain) for group, plain in pickle.loads(state["windows"])}

    def state(self) -> dict[str, Any]:
        """Plain values, and river's detectors pickled beside river's version."""
        windows = [(group, (one.day, one.count, one.adwin)) for group, one in self._windows.items()]
        used = any(one.adwin is not None for one in self._windows.values())
        return {"river": version("river") if used else None, "windows": pickle.dumps(windows)}

    def close(self, closed: Closed, asked: Sequence[tuple[AnyGroup, int]] = ()) -> list[dict[str, float]]:
        """Take in the trials of the minutes that have closed.

        Args:
            closed: the minutes.
            asked: groups, and instants (us) within them at which an opinion is wanted.

        Returns:
            For each that was `asked`: `adwin_rate`, the success rate over the window that ADWIN kept at that instant,
            and `adwin_trials`, its length; nothing where the group was not busy. O(trials), three levels each.
        """
        trials = closed.trials
        some = np.flatnonzero(trials.trial_successes + trials.trial_failures > 0)
        answers: list[dict[str, float]] = [{} for _ in asked]
        questions: dict[AnyGroup, list[tuple[int, int]]] = {}
        for place, (group, at) in enumerate(asked):
            questions.setdefault(group, []).append((at // MINUTE_US, place))
        code = trials.code[some]
        minute = trials.minute[some].astype(np.int64)
        failures = trials.trial_failures[some].astype(np.int64)
        count = trials.trial_successes[some] + failures
        for level in range(3):
            groups = [_roll_up(name, level) for name in closed.names]
            number: dict[AnyGroup, int] = {}
            for group in groups:
                number.setdefault(group, len(number))
            of = np.array([number[group] for group in groups], np.int64)[code] if groups else code.astype(np.int64)
            for group, rows in _summed(list(number), of, minute, failures, count):
                self._feed(group, rows, sorted(questions.pop(group, ())), answers)
        for group, moments in questions.items():
            self._feed(group, [], sorted(moments), answers)
        return answers

    def _feed(
        self,
        group: AnyGroup,
        rows: list[tuple[int, int, int]],
        moments: list[tuple[int, int]],
        answers: list[dict[str, float]],
    ) -> None:
        """Rows (minute, failures, trials) in order; `moments` (minute, place in `answers`) see what was before them."""
        window = self._windows.get(group)
        if window is None:
            window = self._windows[group] = _Window()
        waiting = iter([*moments, (2**62, -1)])
        moment, place = next(waiting)
        for minute, failures, trials in rows:
            while moment <= minute:
                answers[place] = _opinion(window)
                moment, place = next(waiting)
            window.feed(minute, failures, trials)
        while place >= 0:
            answers[place] = _opinion(window)
            moment, place = next(waiting)


def _roll_up(name: Group, level: int) -> AnyGroup:
    """The group, or what it is part of."""
    task, model, config = name
    return task, None if level > 1 else model, None if level else config


def _opinion(window: _Window) -> dict[str, float]:
    if window.adwin is None or not window.adwin.width:
        return {}
    return {"adwin_rate": float(window.adwin.estimation), "adwin_trials": float(window.adwin.width)}


def _summed(
    groups: list[Any], of: I64, minute: I64, failures: I64, trials: I64
) -> list[tuple[AnyGroup, list[tuple[int, int, int]]]]:
    """Per group its (minute, failures, trials) in order of time, each minute once."""
    order = np.lexsort((minute, of))
    of, minute = of[order], minute[order]
    starts = np.flatnonzero(np.diff(of, prepend=-1) | np.diff(minute, prepend=-1))
    if not len(starts):
        return []
    sums = [np.add.reduceat(column[order], starts).tolist() for column in (failures, trials)]
    found: dict[int, list[tuple[int, int, int]]] = {}
    for group, *row in zip(of[starts].tolist(), minute[starts].tolist(), *sums, strict=True):
        found.setdefault(group, []).append((row[0], row[1], row[2]))
    return [(groups[group], rows) for group, rows in found.items()]
