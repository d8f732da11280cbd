"""Counts are tested against a learned profile of the hours of the week, at a promised false-alarm rate.

In each series every hour of the week has a rate of its own, relative to an exposure that the owner computes. The weeks
before saw N events in such an hour at exposure E, older weeks discounted; mu = e (N + .1) / (E + .1) are due at e. The
hours of a day go up and down together by a random factor of the day, with coefficient of variation tau_d, and each
by one of its own, tau_h; so the count n of the day so far, of M = sum of mu, is taken as negative binomial with shape

    1 / a = tau_d^2 + sum of mu^2 (tau_h^2 + 1 / (N + .1)) / M^2        (Gamma-Poisson; Hilbe 2011, chapter 8)

both tau learned from how far predictions were off. If rates were multiplied by r, the likelihood ratio is

    L_r = a (ln(a + M) - ln(a + r M)) + n (ln r + ln(a + M) - ln(a + r M))
    R_r = (R_r + delta) * exp(change of L_r)         delta: weeks

and the mean of R_r over r, a Shiryaev-Roberts statistic as in models.stats.shiryaev_roberts, reaches A within T weeks
with probability at most T / A as far as the profile is right. The r are far from 1: what halves, or doubles, on a
holiday is not what this looks for. The hour is the unit because jobs run at the hour: within one, arrivals are not
steady at all.
"""

from __future__ import annotations

from typing import Final, NamedTuple

import numpy as np

from aftercall.times import HOURS_PER_DAY, HOURS_PER_WEEK
from models.arrays import F64, I64, Bools
from models.columns.struct_of_arrays import StructOfArrays
from models.stats.dispersion import upper

KNOWN_AFTER: Final = 2 * HOURS_PER_WEEK
"""Hours after which a profile is tested: every hour of the week has been seen twice."""
FEWER: F64 = np.array([0.02, 0.1, 0.3])
"""What gone silent, or nearly, multiplies a rate by."""
MORE: F64 = np.array([3.0, 10.0])

_PRIOR = 0.1
"""Events, at an exposure of as many, before any are seen: so few that an hour without events is soon one without."""
_WEEKLY = 0.7
"""What a week counts for one week later."""
_LEVEL_Z = -0.5244005127080409
"""Quantile of the normal distribution at 30 %: variations are upper bounds of 70 % confidence."""
_LEAST_VARIATION = 0.05
"""tau^2 at least: days, and hours, differ by a fifth, whatever two weeks seem to show."""
_EXPONENT_CAP = 600.0
_CAP = 1e15


class _Series(NamedTuple):
    """Columns; J is the number of ratios. Their names are the keys of the stored state."""

    events: F64
    """Per hour of the week, older weeks discounted, shape (series, 168)."""
    exposure: F64
    r: F64
    """Shape (series, J), and so on."""
    cusum: F64
    since: F64
    seen: F64
    foreseen: F64
    gain: F64
    evidence: F64
    began: F64
    """Shape (series,), and so on."""
    day_events: F64
    day_due: F64
    day_spread: F64
    hours_off: F64
    hours_scale: F64
    hours: F64
    days_off: F64
    days_scale: F64
    days: F64

    @classmethod
    def blank(cls, ratios: int) -> _Series:
        """No rows."""
        of_week, of_ratios, plain = np.zeros((0, HOURS_PER_WEEK)), np.zeros((0, ratios)), np.zeros(0)
        return cls(*(of_week,) * 2, *(of_ratios,) * 7, *(plain,) * 10)

    @classmethod
    def beginning(cls, hour: int) -> _Series:
        """One row whose first event lies in `hour`."""
        return cls(*(np.zeros(()),) * 19)._replace(began=np.array(float(hour)), since=np.array(float(hour)))


class WeeklyProfiles:
    """Profiles and statistics of many series, about 3 kB each."""

    def __init__(self, ratios: F64, state: dict[str, F64] | None = None) -> None:
        """Start without series, or from a `state()`.

        Args:
            ratios: the r, shape (J,).
            state: of another instance with the same ratios.
        """
        self.ratios = ratios
        self._log = np.log(ratios)
        self._rows = StructOfArrays(_Series.blank(len(ratios)) if state is None else _Series(**state))

    def __len__(self) -> int:
        return len(self._rows)

    @property
    def began(self) -> F64:
        """Hour of the first event, shape (series,)."""
        return self._rows.columns.began

    @property
    def since(self) -> F64:
        """Hour from which the evidence for each r comes (where its cusum was last 0), shape (series, J)."""
        return self._rows.columns.since

    @property
    def seen(self) -> F64:
        """Events since then, shape (series, J)."""
        return self._rows.columns.seen

    @property
    def foreseen(self) -> F64:
        """Events that were due since then, shape (series, J)."""
        return self._rows.columns.foreseen

    @property
    def evidence(self) -> F64:
        """Sum of the changes of L for each r, shape (series, J)."""
        return self._rows.columns.evidence

    def state(self) -> dict[str, F64]:
        """Plain arrays; not a copy."""
        return self._rows.columns._asdict()

    def add(self, count: int, hour: int) -> None:
        """Append `count` series whose first event lies in `hour`."""
        self._rows.append(count, _Series.beginning(hour))

    def keep(self, kept: Bools) -> None:
        """Drop the other series."""
        self._rows.keep(kept)

    def relearn(self, rows: I64, hour: int) -> None:
        """Start these series from scratch."""
        self._rows.fill(rows, _Series.beginning(hour))

    def clear(self, row: int, hour: int) -> None:
        """Drop the evidence up to the end of `hour`; the profile stays."""
        c = self._rows.columns
        for column in (c.r, c.cusum, c.seen, c.foreseen, c.gain, c.day_events, c.day_due, c.day_spread):
            column[row] = 0.0
        c.since[row] = hour + 1

    def known(self, hour: int) -> Bools:
        """Which profiles are known by `hour`."""
        known: Bools = hour - self.began >= KNOWN_AFTER
        return known

    def due(self, hour: int, exposure: F64) -> F64:
        """Events due in `hour` at this exposure, shape (series,)."""
        c, slot = self._rows.columns, hour % HOURS_PER_WEEK
        return exposure * (c.events[:, slot] + _PRIOR) / (c.exposure[:, slot] + _PRIOR)

    def advance_hour(self, hour: int, events: F64, exposure: F64, learning: Bools) -> F64:
        """Take in one hour of all series.

        Args:
            hour: since 1970 UTC, one more than the last time.
            events: that arrived, shape (series,).
            exposure: shape (series,): expected but for the hour of the week, in events.
            learning: which profiles may learn from this hour: not those that have an alarm.

        Returns:
            R after the hour, shape (series, J); 0 until the profile is known. A view, valid until the next hour.
        """
        c, slot, due = self._rows.columns, hour % HOURS_PER_WEEK, self.due(hour, exposure)
        if hour % HOURS_PER_DAY == 0:
            self._learn_day(hour, learning)
        hourly = _variation(c.hours_off, c.hours_scale, c.hours)
        c.day_events[:] += events
        c.day_due[:] += due
        c.day_spread[:] += due**2 * (hourly + 1 / (c.events[:, slot] + _PRIOR))
        total = np.maximum(c.day_due, 1e-9)
        shape = (1 / (_variation(c.days_off, c.days_scale, c.days) + c.day_spread / total**2))[:, None]
        ratio = np.log((shape + total[:, None]) / (shape + self.ratios * total[:, None]))
        gain = shape * ratio + c.day_events[:, None] * (self._log + ratio)
        change = np.minimum(gain - c.gain, _EXPONENT_CAP)
        c.gain[:] = gain
        c.evidence[:] += change
        r = np.minimum((c.r + 1 / HOURS_PER_WEEK) * np.exp(change), _CAP)
        c.r[:] = np.where(self.known(hour)[:, None], r, 0.0)
        self._track(hour, change, events, due)
        self._learn_hour(slot, events, exposure, due, learning)
        return c.r

    def _track(self, hour: int, change: F64, events: F64, due: F64) -> None:
        """Advance Page's cusum of the same evidence: since when, and what came since."""
        c = self._rows.columns
        cusum = c.cusum + change
        over = cusum > 0
        c.cusum[:] = np.where(over, cusum, 0.0)
        c.since[:] = np.where(over, c.since, hour + 1)
        c.seen[:] = np.where(over, c.seen + events[:, None], 0.0)
        c.foreseen[:] = np.where(over, c.foreseen + due[:, None], 0.0)

    def _learn_hour(self, slot: int, events: F64, exposure: F64, due: F64, learning: Bools) -> None:
        c = self._rows.columns
        predicted = learning & (c.exposure[:, slot] > 0)
        off = (events - due) ** 2 - due - due**2 / (c.events[:, slot] + _PRIOR)
        kept = _WEEKLY ** (1 / HOURS_PER_WEEK)
        for column, value in ((c.hours_off, off), (c.hours_scale, due**2), (c.hours, 1.0)):
            _fade(column, value, predicted, kept)
        for column, value in ((c.events, events), (c.exposure, exposure)):
            _fade(column[:, slot], value, learning, _WEEKLY)

    def _learn_day(self, hour: int, learning: Bools) -> None:
        """Learn from the day before `hour`, which is over."""
        c = self._rows.columns
        due = c.day_due
        off = (c.day_events - due) ** 2 - due - c.day_spread
        predicted = learning & (hour - c.began >= HOURS_PER_WEEK + HOURS_PER_DAY) & (due > 0)
        for column, value in ((c.days_off, off), (c.days_scale, due**2), (c.days, 1.0)):
            _fade(column, value, predicted, _WEEKLY ** (1 / 7))
        for column in (c.day_events, c.day_due, c.day_spread, c.gain):
            column[:] = 0.0


def _variation(off: F64, scale: F64, count: F64) -> F64:
    """tau^2 of hours or days, an upper bound of 70 % confidence, shape (series,)."""
    learned = np.maximum(off, 0.0) / np.maximum(scale, 1e-9)
    return np.maximum(upper(learned, np.maximum(count, 1.0), _LEVEL_Z), _LEAST_VARIATION)


def _fade(column: F64, value: F64 | float, chosen: Bools, kept: float) -> None:
    """Discount what was learned and add `value`, in place, where `chosen`."""
    np.copyto(column, column * kept + value, where=chosen)
