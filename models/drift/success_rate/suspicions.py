"""Lists groups whose evidence is on its way to an alert: hints, of which no promise is made.

Where evidence has passed a tenth of what an alert asks for, an alert may follow or the evidence may fade.
`SUSPICION_ODDS` says how often a change was behind it in a population of which few change (docs/statistics.md).
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from typing import Final, NamedTuple

import numpy as np

from aftercall.records import Direction
from aftercall.times import MINUTE_US
from aftercall.vocabulary import OTHER
from models.alarms.digits import significant
from models.alarms.open_alarms import OpenAlarms
from models.arrays import F64, I64
from models.drift.settings import DriftSettings
from models.drift.trial_history import TrialHistory, change_in
from models.messages import AnyGroup
from models.stats.dispersion import GRAIN
from models.stats.shiryaev_roberts import ShiryaevRoberts

LEAST_STRENGTH: Final = 0.1
"""Share of what an alert asks for, from which on evidence is a suspicion."""
SUSPICION_ODDS: Final = ((0.5, 0.7), (0.2, 0.5), (LEAST_STRENGTH, 0.4))
"""Strengths, and the share of suspicions from there on behind which there is a change.

Where one group in 500 changes in a week; a little less than was measured, as few were looked at."""
_DIRECTIONS: Final[tuple[Direction, Direction]] = ("down", "up")


class Suspicion(NamedTuple):
    """A group whose success rate may have changed.

    Attributes:
        group: whose; nested groups with the same suspicion are one, that with the most evidence.
        direction: of the success rate.
        strength: evidence over what an alert asks for, in [0.1, 1).
        odds: that there is a change, as measured for such a strength.
        baseline, current: success rates before and since the estimated change; None without trials.
        trials: since then.
        changed_at: estimate of when, microseconds.
    """

    group: AnyGroup
    direction: Direction
    strength: float
    odds: float
    baseline: float | None
    current: float | None
    trials: int
    changed_at: int


class Suspicions(NamedTuple):
    """All that there are at the end of an hour, `as_of` (microseconds), the strongest first."""

    as_of: int
    listed: tuple[Suspicion, ...]


class Lookout:
    """Looks for suspicions at the end of each whole hour."""

    def __init__(self, settings: DriftSettings, hour: int = -1) -> None:
        """`hour`: the minute at which it last looked, -1 before that; it is part of the state."""
        self._settings = settings
        self.hour = hour
        self._found: Suspicions | None = None

    def take(self) -> Suspicions | None:
        """What was found last; None where that was asked for already."""
        found, self._found = self._found, None
        return found

    def look(
        self,
        hour: int,
        statistics: ShiryaevRoberts,
        history: TrialHistory,
        groups: Sequence[AnyGroup],
        since: I64,
        alarms: Sequence[OpenAlarms],
    ) -> None:
        """Look for suspicions at the end of an hour, minute `hour`, which holds all trials before it and none after.

        O(watches), and for each suspicion O(its trials in the history). Nothing is done for an hour that is not later
        than the last one.

        Args:
            hour: since 1970.
            statistics: of each watch.
            history: trials of the last weeks.
            groups: by watch.
            since: minute at which each watch's baseline begins.
            alarms: that are open.
        """
        if hour <= self.hour:
            return
        self.hour = hour
        for one in alarms:
            one.expire(hour * MINUTE_US)
        alarmed = [(series[1], direction) for one in alarms for series, direction in one.directions()]
        found = suspects_of(statistics.r.mean(axis=2), self._settings.threshold, groups, alarmed)
        listed = [
            _suspicion(one, hour, statistics, history, groups[one.watch], int(since[one.watch]))
            for one in found
            if groups[one.watch][0] not in self._settings.unpromised_tasks
        ]
        self._found = Suspicions(hour * MINUTE_US, tuple(listed))


class Suspect(NamedTuple):
    """A watch and a side (0 down, 1 up) with evidence of `strength`."""

    watch: int
    side: int
    strength: float

    @property
    def direction(self) -> Direction:
        """Of the success rate."""
        return _DIRECTIONS[self.side]


def suspects_of(
    mean_r: F64, threshold: float, groups: Sequence[AnyGroup], alarmed: Collection[tuple[AnyGroup, Direction]]
) -> list[Suspect]:
    """Those to be listed, the strongest first, then by name. O(watches), and O(n^2) in those that qualify.

    Args:
        mean_r: mean of R, shape (watches, 2).
        threshold: what an alert asks for.
        groups: by watch.
        alarmed: groups of which an alarm is open, and its direction: they and what is nested in them is known already.
    """
    known = list(alarmed)
    # Of nested groups with equal evidence the narrowest comes first: it has the same trials, and says more.
    found = sorted(
        (Suspect(watch, side, float(mean_r[watch, side]) / threshold) for watch, side in _qualified(mean_r, threshold)),
        key=lambda one: (-one.strength, groups[one.watch].count(None), [part or "" for part in groups[one.watch]]),
    )
    listed = []
    for one in found:
        group = groups[one.watch]
        if OTHER not in group and not any(_nested(group, of) and side == one.direction for of, side in known):
            listed.append(one)
            known.append((group, one.direction))
    return listed


def odds_of(strength: float) -> float:
    """How often a change is behind a suspicion of this strength, in [0.1, 1); see `SUSPICION_ODDS`."""
    return next(odds for least, odds in SUSPICION_ODDS if strength >= least or least == LEAST_STRENGTH)


def _suspicion(
    one: Suspect, hour: int, statistics: ShiryaevRoberts, history: TrialHistory, group: AnyGroup, since: int
) -> Suspicion:
    failures, trials = float(statistics.failures[one.watch]), float(statistics.trials[one.watch])
    minute, f, n = history.of(one.watch)
    learned = (failures, trials)
    found = change_in(minute, f / GRAIN, n / GRAIN, hour - 1, since, learned, worse=one.direction == "down")
    failed, tried, changed = found or (0.0, 0.0, hour)
    return Suspicion(
        group=group,
        direction=one.direction,
        strength=significant(one.strength),
        odds=odds_of(one.strength),
        baseline=_rate(failures - failed, trials - tried),
        current=_rate(failed, tried),
        trials=round(tried),
        changed_at=changed * MINUTE_US,
    )


def _rate(failures: float, trials: float) -> float | None:
    return None if trials <= 0 else significant(1 - failures / trials)


def _qualified(mean_r: F64, threshold: float) -> Iterable[tuple[int, int]]:
    watches, sides = np.nonzero(mean_r >= LEAST_STRENGTH * threshold)
    return zip(watches.tolist(), sides.tolist(), strict=True)


def _nested(one: AnyGroup, other: AnyGroup) -> bool:
    return all(a is None or b is None or a == b for a, b in zip(one, other, strict=True))
