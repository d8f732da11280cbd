"""Do as many arrive as at this hour of the week they used to? Counts against a learned profile, at a promised rate.

Of each watch the hours of the week have rates of their own, relative to an exposure that the owner computes. Of such an
hour the weeks before saw N events at exposure E, older weeks discounted; mu = e (N + .1) / (E + .1) are due at e. The
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

from typing import Final

import numpy as np

from models.arrays import F64, I64, Bools
from models.stats.dispersion import upper

HOURS_PER_DAY: Final = 24
HOURS_PER_WEEK: Final = 168
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
"""tau^2 at least: days, and hours, differ by a fifth, whatever two weeks seem to say."""
_EXPONENT_CAP = 600.0
_CAP = 1e15


class HourOfWeek:
    """Profiles and statistics of many watches, about 3 kB each. Columns are attributes of shape (watches, ...).

    Attributes:
        ratios: the r, shape (J,).
        r: statistics, shape (watches, J); 0 until the profile is known.
        began: hour of a watch's first event.
        since: hour from which the evidence for each r comes (where its cusum was last 0), shape (watches, J).
        seen, foreseen: events since then, and how many were due, shape (watches, J).
        evidence: sum of the changes of L for each r, shape (watches, J).
    """

    def __init__(self, ratios: F64, state: dict[str, F64] | None = None) -> None:
        """Start without watches, or from a `state()`."""
        self.ratios = ratios
        self._log = np.log(ratios)
        j = len(ratios)
        self._tails: dict[str, tuple[int, ...]] = {
            **dict.fromkeys(("events", "exposure"), (HOURS_PER_WEEK,)),
            **dict.fromkeys(("r", "cusum", "since", "seen", "foreseen", "gain", "evidence"), (j,)),
            **dict.fromkeys(("began", "day_events", "day_due", "day_spread"), ()),
            **dict.fromkeys(("hours_off", "hours_scale", "hours", "days_off", "days_scale", "days"), ()),
        }
        self._columns = {name: np.zeros((0, *tail)) for name, tail in self._tails.items()} if state is None else state

    def __len__(self) -> int:
        return len(self._columns["began"])

    def __getattr__(self, name: str) -> F64:
        columns: dict[str, F64] = self.__dict__.get("_columns", {})
        if name in columns:
            return columns[name]
        raise AttributeError(name)

    def state(self) -> dict[str, F64]:
        """Plain arrays; not a copy."""
        return self._columns

    def add(self, count: int, hour: int) -> None:
        """`count` new watches whose first event lies in `hour`."""
        for name, tail in self._tails.items():
            start = float(hour) if name in _TIMES else 0.0
            self._columns[name] = np.concatenate((self._columns[name], np.full((count, *tail), start)))

    def keep(self, kept: Bools) -> None:
        """Forget the other watches."""
        self._columns = {name: column[kept] for name, column in self._columns.items()}

    def relearn(self, rows: I64, hour: int) -> None:
        """Start these watches afresh."""
        for name, column in self._columns.items():
            column[rows] = float(hour) if name in _TIMES else 0.0

    def clear(self, row: int, hour: int) -> None:
        """No evidence any more, after `hour`; the profile stays."""
        for name in ("r", "cusum", "seen", "foreseen", "gain", "day_events", "day_due", "day_spread"):
            self._columns[name][row] = 0.0
        self._columns["since"][row] = hour + 1

    def known(self, hour: int) -> Bools:
        """Whose profiles are known by `hour`."""
        known: Bools = hour - self.began >= KNOWN_AFTER
        return known

    def due(self, hour: int, exposure: F64) -> F64:
        """Events due in `hour` at this exposure, shape (watches,)."""
        slot = hour % HOURS_PER_WEEK
        return exposure * (self.events[:, slot] + _PRIOR) / (self.exposure[:, slot] + _PRIOR)

    def step(self, hour: int, events: F64, exposure: F64, learning: Bools) -> F64:
        """One hour of all watches.

        Args:
            hour: since 1970 UTC, one more than the last time.
            events: that arrived, shape (watches,).
            exposure: shape (watches,): expected but for the hour of the week, in events.
            learning: whose profile may learn from this hour: not those that have an alarm.

        Returns:
            `r` after the hour.
        """
        c, slot, due = self._columns, hour % HOURS_PER_WEEK, self.due(hour, exposure)
        if hour % HOURS_PER_DAY == 0:
            self._learn_day(hour, learning)
        hourly = self._variation("hours")
        c["day_events"] += events
        c["day_due"] += due
        c["day_spread"] += due**2 * (hourly + 1 / (c["events"][:, slot] + _PRIOR))
        total = np.maximum(c["day_due"], 1e-9)
        shape = (1 / (self._variation("days") + c["day_spread"] / total**2))[:, None]
        told = np.log((shape + total[:, None]) / (shape + self.ratios * total[:, None]))
        gain = shape * told + c["day_events"][:, None] * (self._log + told)
        change = np.minimum(gain - c["gain"], _EXPONENT_CAP)
        c["gain"] = gain
        c["evidence"] += change
        r = np.minimum((c["r"] + 1 / HOURS_PER_WEEK) * np.exp(change), _CAP)
        c["r"] = np.where(self.known(hour)[:, None], r, 0.0)
        self._track(hour, change, events, due)
        self._learn_hour(slot, events, exposure, due, learning)
        return c["r"]

    def _variation(self, of: str) -> F64:
        """tau^2 of hours or days, an upper bound of 70 % confidence, shape (watches,)."""
        c = self._columns
        count = np.maximum(c[of], 1.0)
        learned = np.maximum(c[f"{of}_off"], 0.0) / np.maximum(c[f"{of}_scale"], 1e-9)
        return np.maximum(upper(learned, count, _LEVEL_Z), _LEAST_VARIATION)

    def _track(self, hour: int, change: F64, events: F64, due: F64) -> None:
        """Page's cusum of the same evidence: since when, and what came since."""
        c = self._columns
        cusum = c["cusum"] + change
        over = cusum > 0
        c["cusum"] = np.where(over, cusum, 0.0)
        c["since"] = np.where(over, c["since"], hour + 1)
        c["seen"] = np.where(over, c["seen"] + events[:, None], 0.0)
        c["foreseen"] = np.where(over, c["foreseen"] + due[:, None], 0.0)

    def _learn_hour(self, slot: int, events: F64, exposure: F64, due: F64, learning: Bools) -> None:
        c = self._columns
        predicted = learning & (c["exposure"][:, slot] > 0)
        off = (events - due) ** 2 - due - due**2 / (c["events"][:, slot] + _PRIOR)
        self._fade("hours", off, due**2, predicted, _WEEKLY ** (1 / HOURS_PER_WEEK))
        for name, value in (("events", events), ("exposure", exposure)):
            c[name][:, slot] = np.where(learning, c[name][:, slot] * _WEEKLY + value, c[name][:, slot])

    def _learn_day(self, hour: int, learning: Bools) -> None:
        """The day before `hour` is over."""
        c = self._columns
        due = c["day_due"]
        off = (c["day_events"] - due) ** 2 - due - c["day_spread"]
        predicted = learning & (hour - c["began"] >= HOURS_PER_WEEK + HOURS_PER_DAY) & (due > 0)
        self._fade("days", off, due**2, predicted, _WEEKLY ** (1 / 7))
        for name in ("day_events", "day_due", "day_spread", "gain"):
            c[name][:] = 0.0

    def _fade(self, of: str, off: F64, scale: F64, chosen: Bools, kept: float) -> None:
        c = self._columns
        for name, value in ((f"{of}_off", off), (f"{of}_scale", scale), (of, 1.0)):
            c[name] = np.where(chosen, c[name] * kept + value, c[name])


_TIMES: Final = frozenset(("began", "since"))
