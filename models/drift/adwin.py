"""Add the window of ADWIN to the evidence of alarms on success rates of busy groups; ADWIN raises none itself.

ADWIN (Bifet and Gavalda 2007, SIAM Data Mining; river's) keeps the longest window whose halves agree. It makes no
promise over time, but needs no baseline and no model of the change, so where it agrees with CT-SR the alarm does
not depend on the assumptions of either. Trials of one minute come in no order; their failures are dealt evenly over it.
"""

from __future__ import annotations

from collections.abc import Sequence
from importlib.metadata import version
from typing import Any, Final

import numpy as np

from aftercall.times import MINUTE_US, MINUTES_PER_DAY
from models.alarms.alarm import Alarm, RateChange
from models.alarms.digits import rounded
from models.arrays import I64
from models.drift.river_codecs import adwin, adwin_from, adwin_plain
from models.messages import AnyGroup, Closed, Group
from models.state import check_river

BUSY: Final = 300
"""Trials on a UTC day from which ADWIN watches the group on the day after."""


class _Window:
    """One group: trials of its present day, and ADWIN where the day before was busy."""

    __slots__ = ("adwin", "count", "day")

    def __init__(self, day: int = -1, count: int = 0, adwin: Any = None) -> None:
        self.day, self.count, self.adwin = day, count, adwin

    def feed(self, minute: int, failures: int, trials: int) -> None:
        day = minute // MINUTES_PER_DAY
        if day != self.day:
            busy = day == self.day + 1 and self.count >= BUSY
            self.adwin = (self.adwin or adwin()) if busy else None
            self.day, self.count = day, 0
        self.count += trials
        if self.adwin is not None:
            update, failed = self.adwin.update, 0
            for place in range(1, trials + 1):
                due = place * failures // trials
                update(0.0 if due > failed else 1.0)
                failed = due


class AdwinEvidence:
    """Windows of (task, model, config), (task, model) and (task); about 2 kB for each busy one."""

    def __init__(self, state: dict[str, Any] | None = None) -> None:
        """Start fresh, or from the `state()` of another instance.

        Raises:
            StateError: where the state's detectors come from another version of river.
        """
        self._windows: dict[AnyGroup, _Window] = {}
        if state is not None:
            check_river(state, "drift")
            self._windows = {
                group: _Window(day, count, None if plain is None else adwin_from(plain))
                for group, (day, count, plain) in state["windows"]
            }

    def state(self) -> dict[str, Any]:
        """Plain values, and the version of the river that they are read back with."""
        windows = [
            (group, (window.day, window.count, None if window.adwin is None else adwin_plain(window.adwin)))
            for group, window in self._windows.items()
        ]
        used = any(window.adwin is not None for window in self._windows.values())
        return {"river": version("river") if used else None, "windows": windows}

    def close(self, closed: Closed, alarms: Sequence[Alarm] = ()) -> list[Alarm]:
        """See `Detector`: the same alarms, those on success rates with `adwin_rate` and `adwin_trials` where known.

        Recoveries have none: an alert keeps the evidence that it was opened with.
        """
        asked = [at for at, alarm in enumerate(alarms) if isinstance(alarm.details, RateChange) and alarm.ends is None]
        windows = self.windows(closed, [(alarms[at].series[1], alarms[at].at) for at in asked])
        amended = list(alarms)
        for at, window in zip(asked, windows, strict=True):
            amended[at] = alarms[at]._replace(evidence=alarms[at].evidence | rounded(window))
        return amended

    def windows(self, closed: Closed, asked: Sequence[tuple[AnyGroup, int]]) -> list[dict[str, float]]:
        """Take in the trials of the minutes that have closed. O(trials), three levels each.

        Args:
            closed: the minutes.
            asked: groups, and instants (us) within them.

        Returns:
            For each that was `asked`: `adwin_rate`, the success rate over the window that ADWIN kept at that instant,
            and `adwin_trials`, its length; nothing where the group was not busy.
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
            number = {group: at for at, group in enumerate(dict.fromkeys(groups))}
            numbers = np.array([number[group] for group in groups], np.int64)
            for group, rows in _summed(list(number), numbers[code], minute, failures, count):
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
                answers[place] = _evidence(window)
                moment, place = next(waiting)
            window.feed(minute, failures, trials)
        while place >= 0:
            answers[place] = _evidence(window)
            moment, place = next(waiting)


def _roll_up(name: Group, level: int) -> AnyGroup:
    """The group, or what it is part of."""
    task, model, config = name
    return task, None if level > 1 else model, None if level else config


def _evidence(window: _Window) -> dict[str, float]:
    if window.adwin is None or not window.adwin.width:
        return {}
    return {"adwin_rate": float(window.adwin.estimation), "adwin_trials": float(window.adwin.width)}


def _summed(
    groups: list[AnyGroup], group: I64, minute: I64, failures: I64, trials: I64
) -> list[tuple[AnyGroup, list[tuple[int, int, int]]]]:
    """Per group its (minute, failures, trials) in order of time, each minute once; `group` indexes `groups`."""
    order = np.lexsort((minute, group))
    group, minute = group[order], minute[order]
    starts = np.flatnonzero(np.diff(group, prepend=-1) | np.diff(minute, prepend=-1))
    if not len(starts):
        return []
    sums = [np.add.reduceat(column[order], starts).tolist() for column in (failures, trials)]
    rows: dict[int, list[tuple[int, int, int]]] = {}
    for number, *row in zip(group[starts].tolist(), minute[starts].tolist(), *sums, strict=True):
        rows.setdefault(number, []).append((row[0], row[1], row[2]))
    return [(groups[number], of_group) for number, of_group in rows.items()]
