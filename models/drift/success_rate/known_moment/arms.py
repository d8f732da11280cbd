"""What a new arm is held against, and the trials of both by the hour."""

from __future__ import annotations

from typing import Final, NamedTuple

import numpy as np

from aftercall.times import MINUTES_PER_HOUR
from aftercall.vocabulary import OTHER
from models.arrays import F64, I64
from models.drift.success_rate.daily_trials import Rows
from models.drift.success_rate.series import NONE, SeriesIndex
from models.drift.trial_history import KEEP_HOURS, TrialHistory
from models.stats.dispersion import GRAIN
from models.stats.two_samples import ArmHours

UNSEEN: Final = 0.001
"""An arm is new where it would hardly have stayed unseen, had it always been as frequent as it is since: the chance."""


class Trials(NamedTuple):
    """All trials there are: of the hours before, and of a span that is being read, which are not among them."""

    history: TrialHistory
    rows: Rows

    def of(self, watch: int, until: int, since: int = -1) -> ArmHours:
        """A watch's by the hour, up to minute `until`, of the last 28 days and of hours that begin at `since` or later.

        Counts of an hour are sums of multiples of 1 / GRAIN: the same in any order, and however hours were stored.
        """
        minute, failures, trials = self.history.of(watch)
        mine = slice(*_span(self.rows, watch, -1, until + 1))
        hour = np.concatenate((minute, self.rows.minute[mine])) // MINUTES_PER_HOUR
        f = np.concatenate((failures / GRAIN, self.rows.learned[mine]))
        n = np.concatenate((trials / GRAIN, self.rows.learned_trials[mine]))
        kept = (hour > until // MINUTES_PER_HOUR - KEEP_HOURS) & (hour * MINUTES_PER_HOUR >= since)
        hours, place = np.unique(hour[kept], return_inverse=True)
        failed, tried = (np.bincount(place, column[kept], len(hours)).astype(np.float64) for column in (f, n))
        return ArmHours(hours, failed, tried)

    def sums(self, before: int, watches: int) -> F64:
        """Trials of each of so many watches before minute `before`, of the last 28 days; shape (watches,)."""
        mine = self.rows.minute < before
        today = np.bincount(self.rows.watch[mine], self.rows.learned_trials[mine], watches)
        first = (before // MINUTES_PER_HOUR - KEEP_HOURS + 1) * MINUTES_PER_HOUR
        sums: F64 = self.history.sums(first, watches) / GRAIN + today
        return sums


class Parent(NamedTuple):
    """What a new arm is held against.

    Attributes:
        watch: the most used config of the same task type and model; of a new model the most used arm of the task type.
        roll_up: of the arms among which it was looked for.
        seen: trials of that before the arm began.
    """

    watch: int
    roll_up: int
    seen: float


def parent_of(watch: int, minute: int, watches: SeriesIndex, trials: Trials, min_trials: int) -> Parent | None:
    """The arm that a new one, which began at `minute`, is held against; None where none has enough trials.

    O(watches, and all their trials of the last 28 days).
    """
    model = int(watches.parent[watch])
    sums = trials.sums(minute, len(watches))
    for roll_up in (model, int(watches.parent[model])):
        arm = _most_used(watches, _arms(watches, roll_up), sums)
        if arm is not None and sums[arm] >= min_trials:
            return Parent(arm, roll_up, float(sums[roll_up]))
    return None


def is_new(seen: float, arm: float, roll_up: float) -> bool:
    """Whether an arm is new, or only rare: had its share always been that since its first trial, would it be unseen?

    Args:
        seen: trials of the roll-up before it.
        arm: its trials since.
        roll_up: those of the roll-up since, its own among them.

    >>> is_new(1000, 8, 400), is_new(50, 8, 400)
    (True, False)
    """
    return bool((1 - min(arm / roll_up, 1.0)) ** seen <= UNSEEN)


def _arms(watches: SeriesIndex, roll_up: int) -> I64:
    """Those of a roll-up, what has folded among them."""
    children = np.flatnonzero(watches.parent == roll_up)
    if len(children) and watches.groups[int(children[0])][2] is None:
        children = np.flatnonzero(np.isin(watches.parent, children))
    return children


def _most_used(watches: SeriesIndex, arms: I64, sums: F64) -> int | None:
    """Of what has not folded; and of equal ones the first by name: numbers depend on who came first."""
    while len(arms):
        most = sums[arms] == sums[arms].max()
        equal: list[int] = [arm for arm in arms[most].tolist() if OTHER not in watches.groups[arm]]
        if equal:
            return min(equal, key=lambda arm: watches.groups[arm][1:])
        arms = arms[~most]
    return None


def without(all_of_it: ArmHours, earlier: ArmHours) -> ArmHours:
    """Trials less those of `earlier`, whose hours are among them."""
    place = np.searchsorted(all_of_it.hour, earlier.hour)
    failures, trials = all_of_it.failures.copy(), all_of_it.trials.copy()
    failures[place] -= earlier.failures
    trials[place] -= earlier.trials
    some = trials > 0
    return ArmHours(all_of_it.hour[some], failures[some], trials[some])


def rho_of(rho: F64, *watches: int) -> float:
    """The greatest correlation of some watches."""
    return max(float(rho[watch]) for watch in watches if watch != NONE)


def trials_since(rows: Rows, watch: int, minute: int) -> tuple[I64, F64]:
    """Minutes of a watch's rows, from `minute` on, ascending, and trials of each."""
    mine = slice(*_span(rows, watch, minute, None))
    return rows.minute[mine], rows.learned_trials[mine]


def _span(rows: Rows, watch: int, first: int, end: int | None) -> tuple[int, int]:
    """Where a watch's rows stand, from minute `first` on and before `end`."""
    begin, stop = np.searchsorted(rows.watch, (watch, watch + 1)).tolist()
    minutes = rows.minute[begin:stop]
    last = len(minutes) if end is None else int(np.searchsorted(minutes, end))
    return begin + int(np.searchsorted(minutes, first)), begin + last
