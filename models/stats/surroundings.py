"""What the day, the quarter and the hour of a batch have shown before it, and the rates that are expected after it."""

from __future__ import annotations

from typing import NamedTuple

from models.arrays import F64


class Surroundings(NamedTuple):
    """What the day, its quarter and the hour of a batch have shown before it; arrays of shape (rows,).

    Attributes:
        day_events, day_trials: of the day's earlier quarters, as they count.
        quarter_events, quarter_trials: of the quarter's earlier hours, as they count.
        hour_events, hour_trials: of the hour before the batch.
        own_trials: of the earlier quarters of the group's own day, as they count.
        rho_day, rho_hour: correlations.
        rho_own: that of days as the own day began: a share must not rise amid the day whose evidence it is of.
    """

    day_events: F64
    day_trials: F64
    quarter_events: F64
    quarter_trials: F64
    hour_events: F64
    hour_trials: F64
    own_trials: F64
    rho_day: F64
    rho_hour: F64
    rho_own: F64

    def against(self, days: F64) -> Surroundings:
        """The same, held against baselines of so many days: what days vary is in their mean as well."""
        mean = 1 + 1 / days
        return self._replace(rho_day=self.rho_day * mean, rho_own=self.rho_own * mean)

    def drawn(self, rate: F64, events: F64, trials: F64) -> tuple[F64, F64]:
        """The rate to expect of a batch, where the baseline's is `rate`: against the baseline, and against the day.

        Both are drawn towards the quarter and the hour, and towards half of the batch.
        """
        rho_day, rho_hour = self.rho_day, self.rho_hour
        events, trials = self.hour_events + events / 2, self.hour_trials + trials / 2
        of_hour = 1 / (1 + rho_hour * trials)
        quarter_events = self.quarter_events + of_hour * events
        quarter_trials = self.quarter_trials + of_hour * trials
        of_quarter = 1 / (1 + rho_hour * quarter_trials)
        day = rate + rho_day * (self.day_events + of_quarter * quarter_events)
        day /= 1 + rho_day * (self.day_trials + of_quarter * quarter_trials)
        drawn = of_quarter * of_hour
        towards = rho_hour * (quarter_events * drawn + events * of_hour)
        against_baseline: F64 = rate * drawn + towards
        against_day: F64 = day * drawn + towards
        return against_baseline, against_day

    def shares(self, trials: F64) -> tuple[F64, F64]:
        """What counts of the own day's evidence before and after a batch of `trials`."""
        before, now = (self._share(self.hour_trials + more) for more in (0.0, trials))
        return before, now

    def _share(self, hour: F64) -> F64:
        quarter = self.quarter_trials + hour / (1 + self.rho_hour * hour)
        share: F64 = 1 / (1 + self.rho_own * (self.own_trials + quarter / (1 + self.rho_hour * quarter)))
        return share
