"""How much more than independent trials the outcomes of a group vary from hour to hour and from day to day.

A rate that wanders a little on its own makes trials within an hour, and within a day, alike. Evidence that treats them
as independent then raises false alarms, the more the busier the group. So evidence is weighed by

    hours:  eta = 1 / phi,  phi the dispersion of hourly counts within their day (Pearson's chi-square over its degrees
            of freedom, McCullagh & Nelder 1989, section 4.5);
    days:   a random effect of the day with intra-class correlation rho. Evidence L(m) of the m effective trials of a
            day so far counts 1 / (1 + (m - 1) rho) of it: what a normal random effect leaves of a likelihood ratio, as
            m trials then tell as much as m / (1 + (m - 1) rho) independent ones (Kish 1965). A large change shows
            before a day is over and costs next to nothing; a small one has to outlast days that are merely bad.

Days are compared with the day before them (von Neumann 1941), so that one lasting change adds one difference and not a
spread. A group's own days are few: its dispersion is drawn towards that of all groups (empirical Bayes as in Smyth
2004), and both are upper confidence bounds. docs/decisions/0010 has the evidence.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np

from models.streams import F64, I64, Bools

LEVEL_Z: Final = -0.5244005127080409
"""Quantile of the normal distribution at 30 %: dispersions are upper bounds of 70 % confidence."""
OWN_DF: Final = 12.0
"""Degrees of freedom that all groups' dispersion weighs in that of one."""
PRIOR_RHO: Final = 0.003
"""Intra-class correlation of days that is assumed until groups have shown theirs."""
LEAST_RHO: Final = 0.0003
MOST_RHO: Final = 0.02
_PRIOR_WEIGHT: Final = 4.0 * (1 / (2 * PRIOR_RHO)) ** 2
"""As much as one busy group's four degrees of freedom."""
_DAYS: Final = 56.0
"""Days after which a day's differences weigh 1/e."""
MINUTES_PER_HOUR: Final = 60
MINUTES_PER_DAY: Final = 1440

_COLUMNS: Final = (
    "hour", "hour_events", "hour_trials", "day_events", "day_trials", "day_within", "day_hours",
    "last_events", "last_trials", "within", "within_df", "between", "between_count", "between_size", "eta", "rho",
)  # fmt: skip


def upper(dispersion: F64, df: F64) -> F64:
    """Upper confidence bound of a dispersion, its degrees of freedom > 0 (Wilson & Hilferty 1931)."""
    spread = 2 / (9 * df)
    quantile = np.maximum(1 - spread + LEVEL_Z * np.sqrt(spread), 1e-2) ** 3
    bound: F64 = dispersion / quantile
    return bound


class Dispersion:
    """What `eta` and `rho` of many groups are learned from; 130 bytes each. Rows are the caller's group numbers.

    Attributes:
        eta: weight of evidence for what hours vary, shape (groups,), in (0, 1].
        rho: intra-class correlation of days, shape (groups,), in [0, 0.02].
        day: UTC day since 1970 that is being counted, -1 before the first.
    """

    def __init__(self, groups: int = 0) -> None:
        self.day = -1
        for name in _COLUMNS:
            setattr(self, name, np.zeros(0))
        self.eta: F64
        self.rho: F64
        self.grow(groups)

    def __len__(self) -> int:
        return len(self.eta)

    def grow(self, groups: int) -> None:
        """Make room for at least `groups` groups."""
        more = groups - len(self)
        if more <= 0:
            return
        start = {"hour": -1.0, "eta": 1.0, "rho": PRIOR_RHO}
        for name in _COLUMNS:
            setattr(self, name, np.concatenate((getattr(self, name), np.full(more, start.get(name, 0.0)))))

    def add(self, rows: I64, minute: I64, events: F64, trials: F64) -> None:
        """Count trials of the day `day`; distinct rows, whose minutes never fall."""
        hour = (minute // MINUTES_PER_HOUR).astype(np.float64)
        over = hour != self._of("hour")[rows]
        self._end_hours(rows[over])
        self._of("hour")[rows] = hour
        self._of("hour_events")[rows] += events
        self._of("hour_trials")[rows] += trials

    def roll(self, day: int, events: F64, trials: F64) -> None:
        """End the days before `day`: nobody adds to them any more. O(groups), once a day.

        Args:
            day: UTC day since 1970; not above `day` nothing happens.
            events, trials: learned baseline of all groups, shape (groups,).
        """
        if day <= self.day:
            return
        first, self.day = self.day < 0, day
        if first:
            return
        self._end_hours(np.arange(len(self)))
        self._of("hour")[:] = -1.0
        self._end_days((events + 0.5) / (trials + 1.0))
        self._weigh()

    def forget_change(self, row: int) -> None:
        """The rate has changed: what was counted today, and the day before, says nothing about the days to come."""
        for name in ("hour_events", "hour_trials", "day_events", "day_trials", "day_within", "day_hours"):
            self._of(name)[row] = 0.0
        self._of("last_trials")[row] = 0.0

    def state(self) -> dict[str, Any]:
        """Plain values and arrays; not a copy."""
        return {"day": self.day} | {name: self._of(name) for name in _COLUMNS}

    @classmethod
    def from_state(cls, state: dict[str, Any]) -> Dispersion:
        """The reverse of `state`."""
        dispersion = cls()
        for name, value in state.items():
            setattr(dispersion, name, value)
        return dispersion

    def _of(self, name: str) -> F64:
        column: F64 = getattr(self, name)
        return column

    def _end_hours(self, rows: I64) -> None:
        e, n = self._of("hour_events")[rows], self._of("hour_trials")[rows]
        some = n > 0
        rows, e, n = rows[some], e[some], n[some]
        self._of("day_within")[rows] += e * e / n
        self._of("day_hours")[rows] += 1
        self._of("day_events")[rows] += e
        self._of("day_trials")[rows] += n
        self._of("hour_events")[rows] = 0.0
        self._of("hour_trials")[rows] = 0.0

    def _end_days(self, rate: F64) -> None:
        """Add the day's dispersion within it, and its difference from the day before."""
        e, n = self._of("day_events"), self._of("day_trials")
        counted: Bools = n > 0
        variance = rate * (1 - rate)
        kept = np.where(counted, np.exp(-1 / _DAYS), 1.0)
        for name in ("within", "within_df", "between", "between_count", "between_size"):
            self._of(name)[:] *= kept
        with np.errstate(invalid="ignore", divide="ignore"):
            within = (self._of("day_within") - e * e / n) / variance
            self._of("within")[:] += np.where(counted, np.maximum(within, 0.0), 0.0)
            self._of("within_df")[:] += np.where(counted, self._of("day_hours") - 1, 0.0)
            before = self._of("last_trials")
            both = counted & (before > 0)
            shares = 1 / n + 1 / before
            difference = (e / n - self._of("last_events") / before) ** 2 / shares / variance
            self._of("between")[:] += np.where(both, difference, 0.0)
            self._of("between_count")[:] += both
            self._of("between_size")[:] += np.where(both, 2 / shares, 0.0)
        self._of("last_events")[counted] = e[counted]
        self._of("last_trials")[counted] = n[counted]
        for name in ("day_events", "day_trials", "day_within", "day_hours"):
            self._of(name)[:] = 0.0

    def _weigh(self) -> None:
        """`eta` and `rho` from all days so far."""
        df = self._of("within_df")
        with np.errstate(invalid="ignore", divide="ignore"):
            hours = np.where(df > 0, self._of("within") / df, 1.0)
            self.eta = np.where(df > 0, 1 / np.maximum(upper(hours, df), 1.0), 1.0)
            count = self._of("between_count")
            known = count > 0
            inflated = np.maximum(hours, 1.0)
            days = np.where(known, self._of("between") / count / inflated, 1.0)
            size = np.where(known, self._of("between_size") / count / inflated, 1.0)
        # Successive differences overlap, so that k of them tell as much as 2k / 3 independent ones.
        own = 2 / 3 * count
        weight = own * (size / (1 + PRIOR_RHO * size)) ** 2
        learned = (weight * (days - 1) / size).sum()
        everyone = np.clip((_PRIOR_WEIGHT * PRIOR_RHO + learned) / (_PRIOR_WEIGHT + weight.sum()), LEAST_RHO, MOST_RHO)
        moderated = (OWN_DF * (1 + everyone * size) + own * days) / (OWN_DF + own)
        rho = (np.maximum(upper(moderated, OWN_DF + own), 1.0) - 1) / size
        self.rho = np.where(known, np.clip(rho, 0.0, MOST_RHO), everyone)
