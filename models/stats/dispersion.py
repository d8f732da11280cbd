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
        as N_d / (1 + rho_d N_d) independent ones (Kish 1965, section 5.4). Groups have days of their own here, which
        begin at 0:00, 6:00, 12:00 or 18:00 UTC, so that no hour is the best for all of them. A day with parts of two
        random effects varies less than one with one.

For both the rate is then drawn in the same way towards what this quarter has shown, and towards what this hour has,
with rho_h: an hour of n trials counts as n / (1 + n rho_h) in its quarter, and a quarter likewise in its day. Quarters
are there for the time of day, by which hours that follow each other are off by the same; they are taken to vary as
much as hours do. A large change shows before a day is over and costs next to nothing; a small one has to outlast days
that are merely bad.

The correlations are learned: from Pearson's chi-square of hours within their day, and from differences of successive
days (von Neumann 1941), so that one lasting change adds one difference and not a spread. A group's own days are few:
what they show is held against all groups' (`models.stats.correlations`). Where most of a day's trials come in one hour,
as those of a nightly judge, what hours vary is what days vary, and counts once (docs/decisions/0025).
docs/decisions/0011 and 0029 have the evidence.
"""

from __future__ import annotations

from typing import Any, Final, NamedTuple

import numpy as np

from aftercall.times import MINUTES_PER_HOUR
from models.arrays import F64, I64, Bools
from models.columns.struct_of_arrays import StructOfArrays
from models.stats.correlations import LEAST_RHO, PRIOR_RHO, correlations
from models.stats.surroundings import Surroundings
from models.stats.trial_variance import trial_variance

GroupRows = I64 | slice
"""Distinct groups; a slice where they follow each other, so that their columns are views."""

Pair = tuple[F64, F64]
"""Events and trials."""

GRAIN: Final = 64.0
"""What is not whole is kept in multiples of 1 / this, so that sums are exact in any order."""
MINUTES_PER_QUARTER: Final = 360
_QUARTERS: Final = 4
NO_DAY: Final = -9.0
"""No own day."""

TOGETHER: Final = 0.5
"""Share of a day's trials in its busiest hour, as it usually is, from which on they come together."""
MANY: Final = 20.0
"""Trials of a day that tell whether they do."""
_NEWEST: Final = 0.3
"""Weight of the newest day in what is usual."""
_DAYS: Final = 56.0
"""Days after which a day's differences weigh 1/e."""


def shrunk(count: F64, trials: F64, rho: F64) -> F64:
    """`count` of an hour or quarter of `trials` as it counts for what it is part of, in multiples of 1 / GRAIN."""
    counting: F64 = np.rint(count / (1 + trials * rho) * GRAIN) / GRAIN
    return counting


def own_day(minute: I64 | int, opens: I64 | int) -> I64:
    """Number of the day, of those that begin with quarter `opens` of a UTC day, that a minute lies in."""
    return np.asarray((minute // MINUTES_PER_QUARTER - opens) // _QUARTERS)


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
    opens: F64
    """Quarter of the UTC day with which the group's own days begin: 0 to 3."""
    own_day: F64
    """Own day that `own_trials` are of, as `own_day` numbers them; `NO_DAY` before the first, and after a change."""
    own_trials: F64
    """Of its earlier quarters, as they count."""
    own_rho: F64
    """`rho_day` as it began."""
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
        begun = cls(never, never, *(none,) * 25, np.array(rho_hour), np.array(rho_day))
        return begun._replace(own_day=np.array(NO_DAY))

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

    def opens(self, rows: GroupRows) -> I64:
        """Quarter of the UTC day with which the own days of these groups begin."""
        return self._rows.columns.opens[rows].astype(np.int64)

    def grow(self, groups: int, opens: I64 | int = 0) -> None:
        """Make room for at least `groups` groups, the new ones with these `opens`, 0 to 3: one for all or each."""
        more = groups - len(self)
        if more > 0:
            self._rows.append(more, _Groups.beginning(self.everyone_hour, self.everyone_day))
            self._rows.columns.opens[-more:] = opens

    def around(self, rows: GroupRows, minute: I64) -> Surroundings:
        """What groups have shown today before a batch at `minute`, per row; some of it may be views."""
        c = self._rows.columns
        rho, of_hour = c.rho_hour[rows], (c.hour_events[rows], c.hour_trials[rows])
        of_quarter = (c.quarter_events[rows], c.quarter_trials[rows])
        of_day, own = (c.past_events[rows], c.past_trials[rows]), c.own_trials[rows]
        over = minute // MINUTES_PER_HOUR != c.hour[rows]
        if over.any():
            of_hour, of_quarter = _ended(of_hour, of_quarter, rho, over)
            over = minute // MINUTES_PER_QUARTER != c.quarter[rows]
            _, (_, own) = _ended(of_quarter, (own, own), rho, over)
            of_quarter, of_day = _ended(of_quarter, of_day, rho, over)
        goes_on = own_day(minute, self.opens(rows)) == c.own_day[rows]
        own, rho_own = np.where(goes_on, own, 0.0), np.where(goes_on, c.own_rho[rows], c.rho_day[rows])
        return Surroundings(*of_day, *of_quarter, *of_hour, own, c.rho_day[rows], rho, rho_own)

    def turn(self, rows: GroupRows, minute: I64) -> None:
        """End hours and quarters that are over at `minute`, which never falls; again it does nothing."""
        c = self._rows.columns
        hour = minute // MINUTES_PER_HOUR
        over = hour != c.hour[rows]
        if over.any():
            quarter = minute // MINUTES_PER_QUARTER
            self._end_hours(_those(rows, over))
            over = quarter != c.quarter[rows]
            if over.any():
                self._end_quarters(_those(rows, over))
            c.hour[rows], c.quarter[rows] = hour, quarter
        self._begin_own_days(rows, own_day(minute, self.opens(rows)))

    def add(self, rows: GroupRows, minute: I64, events: F64, trials: F64) -> None:
        """Count trials of the day `day`; distinct rows, whose minutes never fall."""
        self.turn(rows, minute)
        c = self._rows.columns
        c.hour_events[rows] += events
        c.hour_trials[rows] += trials

    def roll(self, day: int, events: F64, trials: F64, apart: Bools | None = None) -> None:
        """End the days before `day`: nothing may be added to them any more. O(groups), once a day.

        Args:
            day: UTC day since 1970; where it has begun nothing happens.
            events: of the learned baseline, per group.
            trials: of the learned baseline, per group.
            apart: groups whose trials are no other's among them, from which all learn; None: all groups.
        """
        if day <= self.day:
            return
        first, self.day = self.day < 0, day
        if first:
            return
        self._end_hours(slice(0, len(self)))
        self._end_quarters(slice(0, len(self)))
        self._end_days((events + 0.5) / (trials + 1.0))
        self._correlate(slice(None) if apart is None else apart.nonzero()[0])

    def forget_change(self, row: int) -> None:
        """Drop, after a change of the rate, what was counted today and the day before."""
        c = self._rows.columns
        for column in (*c.counted_today(), c.own_trials, c.last_trials):
            column[row] = 0.0
        c.own_day[row] = NO_DAY

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
        # Earlier versions did not know whether trials come together, and own days were those of UTC.
        none = np.zeros(len(state["rho_day"]))
        days = {"own_day": none + state["day"], "own_trials": state["past_trials"], "own_rho": state["rho_day"]}
        days = {name: column.copy() for name, column in days.items()}
        kept = {name: none.copy() for name in ("together", "busiest_now", "opens")} | days | state
        dispersion._rows = StructOfArrays(_Groups(*(kept[name] for name in _Groups._fields)))
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

    def _begin_own_days(self, rows: GroupRows, day: I64) -> None:
        c = self._rows.columns
        begun = day != c.own_day[rows]
        if begun.any():
            begins = _those(rows, begun)
            c.own_day[rows] = day
            c.own_trials[begins], c.own_rho[begins] = 0.0, c.rho_day[begins]

    def _end_quarters(self, rows: GroupRows) -> None:
        c = self._rows.columns
        e, n, rho = c.quarter_events[rows], c.quarter_trials[rows], c.rho_hour[rows]
        c.past_events[rows] += shrunk(e, n, rho)
        counting = shrunk(n, n, rho)
        c.past_trials[rows] += counting
        c.own_trials[rows] += counting
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

    def _correlate(self, apart: GroupRows) -> None:
        """Both correlations from all days so far."""
        c = self._rows.columns
        df = c.within_df
        known = df > 0
        hours = np.divide(c.within, df, out=np.ones(len(df)), where=known)
        size = np.divide(c.within_size, df, out=np.ones(len(df)), where=known)
        c.rho_hour[:], self.everyone_hour = correlations(hours, df, np.maximum(size, 1.0), apart)
        together = c.together >= TOGETHER
        c.rho_hour[together] = LEAST_RHO
        count = c.between_count
        known = count > 0
        inflated = np.where(together, 1.0, np.maximum(hours, 1.0))
        days = np.divide(c.between, count, out=np.ones(len(df)), where=known) / inflated
        size = np.divide(c.between_size, count, out=np.ones(len(df)), where=known) / inflated
        # Successive differences overlap, so that k of them tell as much as 2k / 3 independent ones.
        c.rho_day[:], self.everyone_day = correlations(days, 2 / 3 * count, np.maximum(size, 1.0), apart)
