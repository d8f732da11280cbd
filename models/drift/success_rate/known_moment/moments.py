"""Moments at which something is known to have begun, and how far their looks have come."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, Final

import numpy as np

from aftercall.times import HOUR_US, MINUTE_US, MINUTES_PER_HOUR
from aftercall.vocabulary import EVERY_TASK
from models.arrays import I64
from models.drift.success_rate.known_moment.arms import Parent, Trials, is_new, parent_of, rho_of, without
from models.drift.success_rate.series import NONE, SeriesIndex
from models.drift.trial_history import KEEP_HOURS
from models.messages import Deployed, TrialDeltas
from models.stats.alpha_account import LOOK_LEVELS
from models.stats.dispersion import Dispersion
from models.stats.two_samples import ArmHours, TwoArms, compared

MOST_MOMENTS: Final = 1000
"""So many moments are under test at once, the newest."""


@dataclass
class KnownMoment:
    """A new arm, or a mark, and what the trials since then are held against.

    Attributes:
        watch: whose trials since then.
        minute: of it, since 1970.
        against: the arm that a new one is held against; of a mark `watch` itself.
        roll_up: of a new arm, that of all arms in its place; `NONE` of a mark.
        seen: trials of the roll-up before the moment, in the last 28 days.
        part: of a mark, failures and trials of its own hour before it.
        mark: text of the mark, or its id; None of a new arm.
        trials: of the watch, since the moment.
        paid: alpha that its looks were given.
        followed: whether it has alarmed without a promise, as the same arm had elsewhere.
    """

    watch: int
    minute: int
    against: int
    roll_up: int
    seen: float
    part: tuple[float, float]
    mark: str | None
    trials: float = 0.0
    paid: float = 0.0
    followed: bool = False

    @property
    def next_look(self) -> int:
        """Number of the look that is due next: of the first level that its trials have not reached."""
        return int(np.searchsorted(LOOK_LEVELS, self.trials, side="right"))

    @property
    def looked(self) -> bool:
        """Whether all looks have been."""
        return self.next_look >= len(LOOK_LEVELS)

    def old(self, minute: int) -> bool:
        """Whether it was longer ago than trials are kept."""
        return minute - self.minute > KEEP_HOURS * MINUTES_PER_HOUR

    def compared(self, minute: int, since: int, trials: Trials, dispersion: Dispersion) -> TwoArms | None:
        """Held against what was before, by the trials up to `minute`; None where that cannot be done.

        `since`: minute from which on the level of the arm that it is held against has held.
        """
        before, after = self._both(minute, since, trials)
        if self.roll_up != NONE:
            hour = self.minute // MINUTES_PER_HOUR * MINUTES_PER_HOUR
            of_all = trials.of(self.roll_up, minute, hour).trials.sum()
            if not is_new(self.seen, float(after.trials.sum()), float(of_all)):
                return None
        rho_day, rho_hour = (rho_of(rho, self.watch, self.against) for rho in (dispersion.rho_day, dispersion.rho_hour))
        return compared(before, after, rho_day, rho_hour)

    def _both(self, minute: int, since: int, trials: Trials) -> tuple[ArmHours, ArmHours]:
        if self.roll_up != NONE:
            return trials.of(self.against, minute, since), trials.of(self.watch, minute)
        every, hour = trials.of(self.watch, minute), self.minute // MINUTES_PER_HOUR
        f, n = (np.array([count]) for count in self.part)
        own = ArmHours(np.array([hour]), f, n) if self.part[1] else ArmHours(every.hour[:0], f[:0], n[:0])
        after = without(every.cut(hour, None), own) if (every.hour == hour).any() else every.cut(hour, None)
        first = -(-since // MINUTES_PER_HOUR)
        return every.cut(first, hour).joined(own if first <= hour else own.cut(first, hour)), after


class Candidates:
    """New arms and marks that begin once trials come that are not before them."""

    def __init__(self, state: Sequence[tuple[Any, ...]] = ()) -> None:
        """Start empty, or with the `state()` of another."""
        self._waiting: list[tuple[int, str, int | str]] = [tuple(one) for one in state]

    def appear(self, levels: I64, trials: TrialDeltas, known: int, watches: SeriesIndex, warmup: I64) -> None:
        """Arms that are seen for the first time: watches from number `known` on.

        An arm that is there before its task type has warmed up is no new one.
        """
        present, first = np.unique(trials.code, return_index=True)
        watch, minute = levels[0, present], trials.minute[first].astype(np.int64)
        some = (watch >= known) & (minute >= watches.began[watch] + warmup[watch])
        self._waiting += [(at, "", arm) for at, arm in zip(minute[some].tolist(), watch[some].tolist(), strict=True)]

    def deployed(self, marks: Sequence[Deployed]) -> None:
        """Marks; not those of scorers, nor what is known an hour late: trials since then count as before it."""
        for mark in marks:
            if mark.source is None and mark.minute * MINUTE_US - mark.at < HOUR_US:
                self._waiting.append((mark.minute, mark.text or mark.mark_id, mark.task_type))

    def begin(self, until: int, watches: SeriesIndex, trials: Trials, min_trials: int) -> list[KnownMoment]:
        """Those up to minute `until`, each held against what has trials enough before it."""
        begun = sorted((one for one in self._waiting if one[0] <= until), key=lambda one: (*one[:2], str(one[2])))
        self._waiting = [one for one in self._waiting if one[0] > until]
        moments: list[KnownMoment] = []
        for minute, text, what in begun:
            if isinstance(what, int):
                parent = parent_of(what, minute, watches, trials, min_trials)
                moments += [] if parent is None else [_of_arm(what, minute, parent)]
            else:
                tasks = np.flatnonzero(watches.parent == NONE).tolist()
                wanted = [at for at in tasks if what in {EVERY_TASK, watches.groups[at][0]}]
                moments += _of_mark(wanted, minute, text, trials, min_trials)
        return moments

    def state(self) -> list[tuple[Any, ...]]:
        """Plain values."""
        return list(self._waiting)


def _of_arm(watch: int, minute: int, parent: Parent) -> KnownMoment:
    return KnownMoment(watch, minute, parent.watch, parent.roll_up, parent.seen, (0.0, 0.0), None)


def _of_mark(tasks: Sequence[int], minute: int, text: str, trials: Trials, min_trials: int) -> list[KnownMoment]:
    moments = []
    for task in tasks:
        before = trials.of(task, minute - 1)
        seen = float(before.trials.sum())
        own = before.cut(minute // MINUTES_PER_HOUR, None)
        if seen >= min_trials:
            part = float(own.failures.sum()), float(own.trials.sum())
            moments.append(KnownMoment(task, minute, task, NONE, seen, part, text))
    return moments


def plain(moments: Sequence[KnownMoment]) -> list[dict[str, Any]]:
    """For a state."""
    return [asdict(moment) for moment in moments]
