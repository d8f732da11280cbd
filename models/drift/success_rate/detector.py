"""Watches the success rates of all groups: alarms, what has begun at known moments, suspicions, the weekly digest."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from aftercall.records import Digest
from aftercall.times import MINUTE_US, MINUTES_PER_DAY, MINUTES_PER_HOUR, MINUTES_PER_WEEK
from models.alarms.alarm import Alarm
from models.arrays import F64
from models.drift.settings import DriftSettings
from models.drift.success_rate.daily_trials import within_days
from models.drift.success_rate.digest import digest, week_of
from models.drift.success_rate.known_moment.known_moments import KnownMoments
from models.drift.success_rate.rate_test import RateTest
from models.drift.success_rate.suspicions import Lookout, Suspicions
from models.drift.success_rate.units import UnitWeights
from models.drift.success_rate.weekly import of_week
from models.messages import AnyGroup, Closed, Restart

_NOT_YET = -1


class SuccessRateDetector:
    """Watches (task, model, config), (task, model) and (task), by their verdicts; see `RateTest`.

    What comes out does not depend on how minutes are cut into calls of `close`.
    """

    def __init__(self, settings: DriftSettings, state: dict[str, Any] | None = None) -> None:
        """Start fresh, or from the `state()` of another instance."""
        kept: dict[str, Any] = {} if state is None else state
        self._rates = RateTest(settings, state)
        # First minute of the ISO week, and the baselines with which it began.
        self._week: int = kept.get("week", _NOT_YET)
        self._week_baseline: F64 = kept.get("week_baseline", np.zeros((2, 0)))
        self._digests: list[Digest] = []
        self._lookout = Lookout(settings, kept.get("looked", _NOT_YET))
        self._known = KnownMoments(settings, self._rates.watches, kept.get("known"))

    @property
    def units(self) -> UnitWeights:
        """What trials share."""
        return self._rates.units

    def close(self, closed: Closed, alarms: Sequence[Alarm] = ()) -> list[Alarm]:
        """See `Detector`: calls and trials, and how long the trials took. Alarms of one series are in order of time."""
        raised, rates = list(alarms), self._rates
        known = len(rates.watches)
        levels = rates.levels(closed.names, closed.trials)
        self._known.appear(levels, closed.trials, known, rates.warmup)
        self._known.deployed(closed.marks)
        hour = closed.through // MINUTES_PER_HOUR * MINUTES_PER_HOUR
        for of_day in within_days(closed.trials.minute, hour):
            if of_day[0] >= hour:
                self._suspect(hour)
            self._begin_day(of_day[0] // MINUTES_PER_DAY)
            rows = rates.rows(levels, closed, of_day)
            if len(rows.minute):
                if rates.statistics.dispersion is not None:
                    raised += self._known.look(rows, rates.history, rates.statistics.dispersion)
                raised += rates.test(rows)
            rates.learn_delays(levels, closed, of_day)
        self._suspect(hour)
        rates.open.expire(closed.through * MINUTE_US)
        return raised

    def digests(self) -> list[Digest]:
        """Digests of the weeks that have ended since this was last asked."""
        ended, self._digests = self._digests, []
        return ended

    def suspicions(self) -> Suspicions | None:
        """Those at the end of the last whole hour; None where none has ended since this was last asked."""
        return self._lookout.take()

    def restarts(self) -> list[Restart]:
        """See `Drift.restarts`."""
        return self._rates.restarts.take()

    def design_effects(self) -> list[tuple[AnyGroup, float]]:
        """See `Drift.design_effects`."""
        effects = self.units.design_effects(self._rates.watches.parent)
        return [(self._rates.watches.groups[watch], effect) for watch, effect in effects]

    def state(self) -> dict[str, Any]:
        """Plain values and arrays; not a copy."""
        return {
            **self._rates.state(),
            "week": self._week,
            "week_baseline": self._week_baseline,
            "looked": self._lookout.hour,
            "known": self._known.state(),
        }

    def _begin_day(self, day: int) -> None:
        if day <= self._rates.day:
            return
        week = week_of(day * MINUTES_PER_DAY)[0]
        if self._week != week:
            if self._week != _NOT_YET:
                self._digests.append(self._digest())
            self._week = week
            self._week_baseline = np.stack((self._rates.statistics.failures, self._rates.statistics.trials))
        self._rates.begin_day(day)
        self._known.begin_day(day, self._rates.since)

    def _digest(self) -> Digest:
        """Of the week that has ended; what began within it had no baseline to be held against."""
        rates = self._rates
        found = of_week(self._week, self._week_baseline, rates.statistics, rates.history, rates.watches.groups)
        return digest(self._week + MINUTES_PER_WEEK, found)

    def _suspect(self, hour: int) -> None:
        rates, alarms = self._rates, (self._rates.open, self._known.open)
        self._lookout.look(hour, rates.statistics, rates.history, rates.watches.groups, rates.since, alarms)
