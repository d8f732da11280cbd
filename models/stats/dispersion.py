"""Learn how much more than independent trials outcomes vary by the hour and day.

A rate that wanders a little on its own makes trials within an hour, and within a day, alike. Evidence that treats them
as independent then raises false alarms, the more the busier the group. So days have random effects, and so have their
quarters (six hours) and hours, nested, with intra-class correlations rho_d, rho_h and rho_h, and evidence is taken for
two kinds of change:

    in the middle of a day: the rate that is expected next is drawn from the baseline towards what this day has shown so
        far (Polya's urn: the predictive rate of a beta-binomial, whose baseline weighs 1 / rho_d trials),
        q_1 = (q_0 + rho_d E_d) / (1 + rho_d N_d)        E_d, N_d: events and trials of the day;
    from the first minute of a day: evidence against the baseline itself, of which a day of N_d trials counts
        1 / (1 + rho_d N_d): what a normal random effect leaves of a likelihood ratio, as these trials then tell as much
        as N_d / (1 + rho_d N_d) independent ones (Kish 1965, section 5.4).

For both the rate is then drawn in the same way towards what this quarter has shown, and towards what this hour has,
with rho_h: an hour of n trials counts as n / (1 + n rho_h) in its quarter, and a quarter likewise in its day. Quarters
are there for the time of day, by which hours that follow each other are off by the same; they are taken to vary as
much as hours do. A large change shows before a day is over and costs next to nothing; a small one has to outlast days
that are merely bad.

The correlations are learned: from Pearson's chi-square of hours within their day, and from differences of successive
days (von Neumann 1941), so that one lasting change adds one difference and not a spread. A group's own days are few:
its dispersion is drawn towards that of all groups (empirical Bayes as in Smyth 2004, section 3), and is an upper
confidence bound. Where most of a day's trials come in one hour, as those of a nightly judge, what hours vary is what
days vary, and counts once (docs/decisions/0025). docs/decisions/0011 has the evidence.
"""

from __future__ import annotations

from typing import Any, Final, NamedTuple

import numpy as np

from aftercall.times import MINUTES_PER_HOUR
from models.arrays import F64, I64, Bools
from models.columns.struct_of_arrays import StructOfArrays
from models.stats.trial_variance import trial_variance

GroupRows = I64 | slice
"""Distinct groups; a slice where they follow each other, so that their columns are views."""

Pair = tuple[F64, F64]
"""Events and trials."""

LEVEL_Z: Final = -0.2533471031357997
"""Quantile of the normal distribution at 40 %: dispersions are upper bounds of 60 % confidence."""
OWN_DF: Final = 12.0
"""Degrees of freedom that all groups' dispersion weighs in that of one."""
PRIOR_RHO: Final = 0.005
"""Correlation that is assumed until groups have shown theirs."""
LEAST_RHO: Final = 0.0001
MOST_RHO: Final = 0.02
GRAIN: Final = 64.0
"""What is not whole is kept in multiples of 1 / this, so that sums are exact in any order."""
MINUTES_PER_QUARTER: Final = 360

TOGETHER: Final = 0.5
"""Share of a day's trials in its busiest hour, as it usually is, from which on they come together."""
MANY: Final = 20.0
"""Trials of a day that tell whether they do."""
_NEWEST: Final = 0.3
"""Weight of the newest day in what is usual."""
_PRIOR_WEIGHT: Final = 4.0 * (1 / (2 * PRIOR_RHO)) ** 2
"""As much as one busy group's four degrees of freedom."""
_DAYS: Final = 56.0
"""Days after which a day's differences weigh 1/e."""


class Surroundings(NamedTuple):
    """What the day, its quarter and the hour of a batch have shown before it; arrays of shape (rows,).

    Attributes:
        day_events, day_trials: of the day's earlier quarters, as they count.
        quarter_events, quarter_trials: of the quarter's earlier hours, as they count.
        hour_events, hour_trials: of the hour before the batch.
        rho_day, rho_hour: correlations.
    """

    day_events: F64
    day_trials: F64
    quarter_events: F64
    quarter_trials: F64
    hour_events: F64
    hour_trials: F64
    rho_day: F64
    rho_hour: F64

    def against(self, days: F64) -> Surroundings:
        """The same, held against baselines of so many days: what days vary is in their mean as well."""
        return self._replace(rho_day=self.rho_day * (1 + 1 / days))

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
        """What counts of the day's evidence before and after a batch of `trials`."""
        before, now = (self._share(self.hour_trials + more) for more in (0.0, trials))
        return before, now

    def _share(self, hour: F64) -> F64:
        quarter = self.quarter_trials + hour / (1 + self.rho_hour * hour)
        share: F64 = 1 / (1 + self.rho_day * (self.day_trials + quarter / (1 + self.rho_hour * quarter)))
        return share


def shrunk(count: F64, trials: F64, rho: F64) -> F64:
    """`count` of an hour or quarter of `trials` as it counts for what it is part of, in multiples of 1 / GRAIN."""
    counting: F64 = np.rint(count / (1 + trials * rho) * GRAIN) / GRAIN
    return counting


def _ended(inner: Pair, outer: Pair, rho: F64, over: Bools) -> tuple[Pair, Pair]:
    """Events and trials of an hour (a quarter), and of what it is part of, where the former is over."""
    (e, n), (events, trials) = inner, outer
    ended = events + np.where(over, shrunk(e, n, rho), 0.0), trials + np.where(over, shrunk(n, n, rho), 0.0)
    return (np.where(over, 0.0, e), np.where(over, 0.0, n)), ended


def _those(rows: GroupRows, some: Bools) -> GroupRows:
    """Those of `rows` where `some` holds; `rows` itself where it holds for all."""
    if some.all():
        return rows
    return rows[some] if not isinstance(rows, slice) else rows.start + np.flatnonzero(some)


def upper(dispersion: F64, df: F64, z: float = LEVEL_Z) -> F64:
    """Upper confidence bound of a dispersion, its degrees of freedom > 0; z < 0 (Wilson & Hilferty 1931).

    >>> upper(np.array([2.0]), np.array([20.0])).round(3).tolist()
    [2.245]
    """
    spread = 2 / (9 * df)
    quantile = np.maximum(1 - spread + z * np.sqrt(spread), 1e-2) ** 3
    bound: F64 = dispersion / quantile
    return bound


def correlation(dispersion: F64, df: F64, size: F64) -> tuple[F64, float]:
    """Intra-class correlations of many groups, and that of one without any days of its own.

    Args:
        dispersion: Pearson's chi-square over its degrees of freedom, shape (groups,).
        df: the degrees of freedom; 0 where nothing is known.
        size: trials that are alike, on average, > 0.

    Returns:
        Shape (groups,), in [0, 0.02]; and one in [0.0001, 0.02].
    """
    weight = df * (size / (1 + PRIOR_RHO * size)) ** 2
    found = float((weight * (dispersion - 1) / size).sum())
    everyone = (_PRIOR_WEIGHT * PRIOR_RHO + found) / (_PRIOR_WEIGHT + float(weight.sum()))
    everyone = min(max(everyone, LEAST_RHO), MOST_RHO)
    moderated = (OWN_DF * (1 + everyone * size) + df * dispersion) / (OWN_DF + df)
    rho = (upper(moderated, OWN_DF + df) - 1) / size
    return np.where(df > 0, np.clip(rho, 0.0, MOST_RHO), everyone), everyone


class _Groups(NamedTuple):
    """What is counted and learned, columns of shape (groups,); their names are keys of the stored state."""

    hour: F64
    """That the group is in, since 1970; -1 before the first of the day."""
    quarter: F64
    hour_events: F64
    """Of that hour."""
    hour_trials: F64
    quarter_events: F64
    """Of the quarter's earlier hours, as they count."""
    quarter_trials: F64
    past_events: F64
    """Of the day's earlier quarters, as they count."""
    past_trials: F64
    within_now: F64
    """Sums over the day's hours: of events^2 / trials, of trials^2, and their number."""
    squares_now: F64
    hours_now: F64
    busiest_now: F64
    """Trials of its busiest hour."""
    day_events: F64
    day_trials: F64
    last_events: F64
    """Of the day before."""
    last_trials: F64
    within: F64
    """Pearson's chi-square within days, its degrees of freedom, and the size that goes with each."""
    within_df: F64
    within_size: F64
    between: F64
    """The same of the differences of successive days."""
    between_count: F64
    between_size: F64
    together: F64
    """Share of a day's trials in its busiest hour, as it usually is."""
    rho_hour: F64
    """Correlations."""
    rho_day: F64

    @classmethod
    def beginning(cls, rho_hour: float, rho_day: float) -> _Groups:
        """One row, as if it had been there when the day began: when a group first appears must not matter."""
        never, none = np.array(-1.0), np.zeros(())
        return cls(never, never, *(none,) * 21, np.array(rho_hour), np.array(rho_day))

    def counted_today(self) -> tuple[F64, ...]:
        """The counts that start from zero with each day."""
        return (
            self.hour_events, self.hour_trials, self.quarter_events, self.quarter_trials, self.past_events,
            self.past_trials, self.within_now, self.squares_now, self.hours_now, self.busiest_now, self.day_events,
            self.day_trials,
        )  # fmt: skip


class Dispersion:
    """Learns the correlations of many groups, 200 bytes each; rows are the caller's group numbers.

    Attributes:
        day: UTC day since 1970 that is being counted, -1 before the first.
        everyone_hour, everyone_day: correlations of a group that has shown none of its own.
    """

    def __init__(self, groups: int = 0) -> None:
        self.day = -1
        self.everyone_hour = self.everyone_day = PRIOR_RHO
        self._rows = StructOfArrays(_Groups(*(np.zeros(0),) * len(_Groups._fields)))
        self.grow(groups)

    def __len__(self) -> int:
        return len(self._rows)

    @property
    def rho_hour(self) -> F64:
        """Correlations within hours and quarters, shape (groups,)."""
        return self._rows.columns.rho_hour

    @property
    def rho_day(self) -> F64:
        """Correlations within days, shape (groups,)."""
        return self._rows.columns.rho_day

    def grow(self, groups: int) -> None:
        """Make room for at least `groups` groups."""
        more = groups - len(self)
        if more > 0:
            self._rows.append(more, _Groups.beginning(self.everyone_hour, self.everyone_day))

    def around(self, rows: GroupRows, minute: I64) -> Surroundings:
        """What groups have shown today before a batch at `minute`, per row; some of it may be views."""
        c = self._rows.columns
        rho, of_hour = c.rho_hour[rows], (c.hour_events[rows], c.hour_trials[rows])
        of_quarter = (c.quarter_events[rows], c.quarter_trials[rows])
        of_day = (c.past_events[rows], c.past_trials[rows])
        over = minute // MINUTES_PER_HOUR != c.hour[rows]
        if over.any():
            of_hour, of_quarter = _ended(of_hour, of_quarter, rho, over)
            over = minute // MINUTES_PER_QUARTER != c.quarter[rows]
            of_quarter, of_day = _ended(of_quarter, of_day, rho, over)
        return Surroundings(*of_day, *of_quarter, *of_hour, c.rho_day[rows], rho)

    def turn(self, rows: GroupRows, minute: I64) -> None:
        """End hours and quarters that are over at `minute`, which never falls; again it does nothing."""
        c = self._rows.columns
        hour = minute // MINUTES_PER_HOUR
        over = hour != c.hour[rows]
        if not over.any():
            return
        quarter = minute // MINUTES_PER_QUARTER
        self._end_hours(_those(rows, over))
        over = quarter != c.quarter[rows]
        if over.any():
            self._end_quarters(_those(rows, over))
        c.hour[rows], c.quarter[rows] = hour, quarter

    def add(self, rows: GroupRows, minute: I64, events: F64, trials: F64) -> None:
        """Count trials of the day `day`; distinct rows, whose minutes never fall."""
        self.turn(rows, minute)
        c = self._rows.columns
        c.hour_events[rows] += events
        c.hour_trials[rows] += trials

    def roll(self, day: int, events: F64, trials: F64) -> None:
        """End the days before `day`: nothing may be added to them any more. O(groups), once a day.

        Args:
            day: UTC day since 1970; where it has begun nothing happens.
            events: of the learned baseline, per group.
            trials: of the learned baseline, per group.
        """
        if day <= self.day:
            return
        first, self.day = self.day < 0, day
        if first:
            return
        self._end_hours(slice(0, len(self)))
        self._end_days((events + 0.5) / (trials + 1.0))
        self._correlate()

    def forget_change(self, row: int) -> None:
        """Drop, after a change of the rate, what was counted today and the day before."""
        c = self._rows.columns
        for column in (*c.counted_today(), c.last_trials):
            column[row] = 0.0

    def state(self) -> dict[str, Any]:
        """Plain values and arrays; not a copy."""
        everyone = {"everyone_hour": self.everyone_hour, "everyone_day": self.everyone_day}
        return {"day": self.day, **everyone, **self._rows.columns._asdict()}

    @classmethod
    def from_state(cls, state: dict[str, Any]) -> Dispersion:
        """The reverse of `state`."""
        dispersion = cls()
        dispersion.day = state["day"]
        dispersion.everyone_hour, dispersion.everyone_day = state["everyone_hour"], state["everyone_day"]
        none = np.zeros(len(state["rho_day"]))  # earlier versions did not know whether trials come together
        dispersion._rows = StructOfArrays(_Groups(*(state.get(name, none.copy()) for name in _Groups._fields)))
        return dispersion

    def _end_hours(self, rows: GroupRows) -> None:
        c = self._rows.columns
        rows = _those(rows, c.hour_trials[rows] > 0)
        e, n, rho = c.hour_events[rows], c.hour_trials[rows], c.rho_hour[rows]
        c.quarter_events[rows] += shrunk(e, n, rho)
        c.quarter_trials[rows] += shrunk(n, n, rho)
        c.within_now[rows] += e * e / n
        c.squares_now[rows] += n * n
        c.hours_now[rows] += 1
        c.busiest_now[rows] = np.maximum(c.busiest_now[rows], n)
        c.day_events[rows] += e
        c.day_trials[rows] += n
        c.hour_events[rows] = 0.0
        c.hour_trials[rows] = 0.0

    def _end_quarters(self, rows: GroupRows) -> None:
        c = self._rows.columns
        e, n, rho = c.quarter_events[rows], c.quarter_trials[rows], c.rho_hour[rows]
        c.past_events[rows] += shrunk(e, n, rho)
        c.past_trials[rows] += shrunk(n, n, rho)
        c.quarter_events[rows] = 0.0
        c.quarter_trials[rows] = 0.0

    def _end_days(self, rate: F64) -> None:
        """Add the day's dispersion within it, and its difference from the day before."""
        c = self._rows.columns
        (rows,) = (c.day_trials > 0).nonzero()
        e, n = c.day_events[rows], c.day_trials[rows]
        rate = rate[rows]
        alone = trial_variance(e, n, rate)
        for column in (c.within, c.within_df, c.within_size, c.between, c.between_count, c.between_size):
            column[rows] *= np.exp(-1 / _DAYS)
        c.within[rows] += np.maximum(c.within_now[rows] - e * e / n, 0.0) / alone
        c.within_df[rows] += c.hours_now[rows] - 1
        c.within_size[rows] += n - c.squares_now[rows] / n
        many = rows[n >= MANY]
        c.together[many] += _NEWEST * (c.busiest_now[many] / c.day_trials[many] - c.together[many])
        both = c.last_trials[rows] > 0
        pair, e1, n1 = rows[both], e[both], n[both]
        e0, n0 = c.last_events[pair], c.last_trials[pair]
        shares = 1 / n1 + 1 / n0
        c.between[pair] += (e1 / n1 - e0 / n0) ** 2 / shares / trial_variance(e1 + e0, n1 + n0, rate[both])
        c.between_count[pair] += 1
        c.between_size[pair] += 2 / shares
        c.last_events[rows], c.last_trials[rows] = e, n
        c.hour[:] = c.quarter[:] = -1.0
        for column in c.counted_today():
            column[:] = 0.0

    def _correlate(self) -> None:
        """Both correlations from all days so far."""
        c = self._rows.columns
        df = c.within_df
        known = df > 0
        hours = np.divide(c.within, df, out=np.ones(len(df)), where=known)
        size = np.divide(c.within_size, df, out=np.ones(len(df)), where=known)
        c.rho_hour[:], self.everyone_hour = correlation(hours, df, np.maximum(size, 1.0))
        together = c.together >= TOGETHER
        c.rho_hour[together] = LEAST_RHO
        count = c.between_count
        known = count > 0
        inflated = np.where(together, 1.0, np.maximum(hours, 1.0))
        days = np.divide(c.between, count, out=np.ones(len(df)), where=known) / inflated
        size = np.divide(c.between_size, count, out=np.ones(len(df)), where=known) / inflated
        # Successive differences overlap, so that k of them tell as much as 2k / 3 independent ones.
        c.rho_day[:], self.everyone_day = correlation(days, 2 / 3 * count, np.maximum(size, 1.0))
