"""Counts are tested against a learned profile of the hours of the week, at a promised false-alarm rate.

In each series every hour of the week has a rate of its own, relative to an exposure that the owner computes, and events
come in lumps of phi (models.stats.lumps). The weeks before saw N events in such an hour at exposure E, older weeks
discounted, and m per exposure over all hours; with k lumps as the weight of the latter,

    mu = e (N + k phi) / (E + k phi / m)

are due at e. Where hours do not repeat themselves k is large, and the profile flat. The hours of a day go up and down
together by a random factor of the day, with coefficient of variation tau_d, and each by one of its own, tau_h; so n,
the count of the day so far over phi, of M = sum of mu / phi, is taken as negative binomial with shape

    1 / a = tau_d^2 + phi / (sum of N) + sum of mu^2 (tau_h^2 + 1 / (k + N / phi)) / (sum of mu)^2

(Gamma-Poisson; Hilbe 2011, chapter 8), tau_d learned from how far predictions were off. phi, k, m and the limits below
are those of the day's beginning. If rates were multiplied by r, the likelihood ratio is

    L_r = a (ln(a + M) - ln(a + r M)) + n (ln r + ln(a + M) - ln(a + r M))
    R_r = (R_r + delta) * exp(change of L_r)         delta: weeks

and the mean of R_r over r, a Shiryaev-Roberts statistic as in models.stats.shiryaev_roberts, reaches A within T weeks
with probability at most T / A as far as the profile is right. The r are far from 1: what halves, or doubles, on a
holiday is not what this looks for. An hour may be empty, or full, of itself: of H hours in which events were surely due
z more than by chance had none, and of H hours z had a crowd; what such an hour adds to the evidence is at most ln((H +
c) / (z + c)), c = .01, and for fewer less from 25 such hours on: .01 exp((25 - H) / 10). So a nightly job is missed
after some nights and no sooner, and busy hours within two. The hour is the unit because jobs run at the hour: within
one, arrivals are not steady at all.

tau_d is not learned from a day while R of the profile as it is says that it may belong to a fall, but once R does not.

A profile may also be right, but an hour off, as after the clocks have changed. So R is kept for three profiles: as it
is, an hour earlier, an hour later; the least of the three counts. The null hypothesis is that the profile is right as
it is until some hour, and one of the three from then on. So the R of another one starts from that of the profile as it
is where this is less: what an hour off has got wrong while the profile was right, such as the evening of each day,
refutes nothing. Where hours show surely that another one is right, the profile moves there when the day ends, to an
hour from where it began at most.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np
from scipy.special import gammaln

from aftercall.times import HOURS_PER_DAY, HOURS_PER_WEEK
from models.arrays import F64, I64, Bools
from models.columns.struct_of_arrays import StructOfArrays
from models.drift.volume.clocks import Clocks
from models.drift.volume.profile_columns import SHIFTS, ProfileColumns
from models.stats.chi_square import upper
from models.stats.lumps import LEAST_SHAPE, apart, overdispersion, shape

KNOWN_AFTER: Final = 2 * HOURS_PER_WEEK
"""Hours after which a profile is tested: every hour of the week has been seen twice."""
FEWER: F64 = np.array([0.02, 0.1, 0.3])
"""What gone silent, or nearly, multiplies a rate by."""
MORE: F64 = np.array([3.0, 10.0])

_HOLIDAYS: Final = 2 * HOURS_PER_DAY
"""Hours of holidays after which holidays are tested: two days to compare with each other."""
_SURE: Final = 15.0
"""Logarithm of the likelihood ratio at which a profile moves by an hour."""
_FEW: Final = 5.0
"""Lumps that a day must have so that it can show which profile is right."""
_CHANCE_Z: Final = 3.0
"""So many standard deviations of what chance leaves empty are left out of account."""
_SURELY: Final = 3.0
"""Lumps that are due in an hour in which events are surely due."""
_EMPTY: Final = 0.1
"""Part of what is due below which an hour counts as empty."""
_MORE: Final = 2.0
"""Times what is due, from which an hour adds to the evidence that there are more."""
_FEWER: Final = 1.25
"""Times what came must be due for an hour to add to the evidence that there are fewer."""
_CROWD: Final = 3.0
"""Times what is due, and"""
_MANY: Final = 5.0
"""lumps more, from which an hour has a crowd."""
_OF_ITSELF: Final = 0.01
"""c: hours that are so although none has been yet."""
_MANY_HOURS: Final = 25.0
_FADES: Final = 10.0
"""From so many such hours on c fades, by a factor of e in so many more."""
_DOUBTFUL: Final = 3.0
"""R from which a day may belong to a fall: days are known to vary by it only once the next ones show none."""
_WEEKLY = 0.7
"""What a week counts for one week later."""
_LEVEL_Z = -0.5244005127080409
"""Quantile of the normal distribution at 30 %: variations of days are upper bounds of 70 % confidence."""
LEAST_VARIATION: Final = 0.05
"""tau^2 at least: days, and hours, differ by a fifth, whatever two weeks seem to show."""
_CAP = 1e15


class WeeklyProfiles:
    """Profiles and statistics of many series, about 4 kB each."""

    def __init__(
        self, ratios: F64, state: dict[str, F64] | None = None, *, least_variation: float = LEAST_VARIATION
    ) -> None:
        """Start without series, or from a `state()`.

        Args:
            ratios: the r, shape (J,).
            state: of another instance with the same ratios, or with the first of them.
            least_variation: tau^2 at least.
        """
        self.ratios = ratios
        self._least = least_variation
        self._log = np.log(ratios)
        self._rows = StructOfArrays(
            ProfileColumns.blank(len(ratios)) if state is None else ProfileColumns.stored(state, len(ratios))
        )

    def __len__(self) -> int:
        return len(self._rows)

    @property
    def columns(self) -> ProfileColumns:
        """All there is of the series: views, valid until rows come or go."""
        return self._rows.columns

    @property
    def began(self) -> F64:
        """Hour of the first event, shape (series,)."""
        return self._rows.columns.began

    @property
    def evidence(self) -> F64:
        """Logarithm of the likelihood ratios so far, of the profile as it is, shape (series, J)."""
        evidence: F64 = self._rows.columns.evidence[:, 0]
        return evidence

    @property
    def mean(self) -> F64:
        """Events per exposure over all hours, shape (series,)."""
        return self._rows.columns.mean

    def state(self) -> dict[str, Any]:
        """Plain arrays; not a copy."""
        return self._rows.columns._asdict()

    def add(self, count: int, hour: int) -> None:
        """Append `count` series whose first event lies in `hour`."""
        self._rows.append(count, ProfileColumns.beginning(hour))

    def keep(self, kept: Bools) -> None:
        """Drop the other series."""
        self._rows.keep(kept)

    def relearn(self, rows: I64, hour: int) -> None:
        """Start these series from scratch."""
        self._rows.fill(rows, ProfileColumns.beginning(hour))

    def clear(self, rows: I64 | int, hour: int) -> None:
        """Drop the evidence up to the end of `hour`; the profile stays."""
        c = self._rows.columns
        for column in (c.r, c.cusum, c.seen, c.foreseen, c.gain, c.day_events, c.day_due, c.day_spread, c.lead):
            column[rows] = 0.0
        c.since[rows] = hour + 1

    def known(self, hour: int) -> Bools:
        """Which profiles are known by `hour`."""
        known: Bools = hour - self.began >= KNOWN_AFTER
        return known

    def advance_hour(self, hour: int, events: F64, exposure: F64, learning: Bools, clocks: Clocks) -> tuple[F64, F64]:
        """Take in one hour of all series.

        Args:
            hour: since 1970 UTC, one more than the last time.
            events: that arrived, shape (series,).
            exposure: shape (series,): expected but for the hour of the week, in events.
            learning: which profiles may learn from this hour: not those that have an alarm.
            clocks: the time of day where each series is.

        Returns:
            R after the hour, shape (series, SHIFTS, J); 0 until the profile is known; a view, valid until the next
            hour. And the events that were due in it, shape (series,).
        """
        c = self._rows.columns
        if clocks.midnight.any():
            self._begin_days(clocks.midnight, hour, learning)
        slots = self._slots(clocks)
        due = self._due(slots, clocks, exposure)
        tested = clocks.watched & self.known(hour) & (~clocks.holiday | (c.holidays >= _HOLIDAYS))
        if tested.any():
            self._test(hour, slots, events, due, tested, clocks)
        else:
            c.since[c.cusum <= 0] = hour + 1
        self._learn_hour(slots[:, 0], events, exposure, due[:, 0], learning & clocks.watched, clocks.holiday)
        return c.r, due[:, 0]

    def _test(self, hour: int, slots: I64, events: F64, due: F64, tested: Bools, clocks: Clocks) -> None:
        """Take in the evidence of an hour of those that are `tested`."""
        c = self._rows.columns
        change = self._gained(slots, events, due, tested, clocks)
        c.evidence[:] += change
        np.copyto(c.r, self._stepped(change), where=tested[:, None, None])
        self._track(hour, change, events, due, tested)
        self._compare(slots, events, due, tested, clocks)

    def _slots(self, clocks: Clocks) -> I64:
        """The hour of the profile that each shift takes for this one, shape (series, SHIFTS)."""
        local = (clocks.local + self._rows.columns.moved.astype(np.int64))[:, None] + SHIFTS
        slots: I64 = np.where(clocks.holiday[:, None], HOURS_PER_WEEK + local % HOURS_PER_DAY, local % HOURS_PER_WEEK)
        return slots

    def _weight(self, clocks: Clocks) -> F64:
        """K phi: the events that the mean weighs. Holidays are compared with each other, not with other days."""
        c = self._rows.columns
        weight: F64 = np.where(clocks.holiday, LEAST_SHAPE, c.shape) * c.phi
        return weight

    def _due(self, slots: I64, clocks: Clocks, exposure: F64) -> F64:
        """Shape (series, SHIFTS)."""
        c, weight, row = self._rows.columns, self._weight(clocks)[:, None], np.arange(len(slots))[:, None]
        due: F64 = exposure[:, None] * (c.events[row, slots] + weight)
        return due / (c.exposure[row, slots] + weight / np.maximum(c.mean, 1e-9)[:, None])

    def _own(self, slots: I64, clocks: Clocks) -> F64:
        """Lumps behind what is due, k + N / phi, shape (series, SHIFTS)."""
        c, row = self._rows.columns, np.arange(len(slots))[:, None]
        own: F64 = (self._weight(clocks)[:, None] + c.events[row, slots]) / c.phi[:, None]
        return own

    def _gained(self, slots: I64, events: F64, due: F64, tested: Bools, clocks: Clocks) -> F64:
        """The change of the logarithm of the likelihood ratios, shape (series, SHIFTS, J)."""
        c, own = self._rows.columns, self._own(slots, clocks)
        counted = tested.astype(np.float64)
        c.day_events[:] += counted * events
        c.day_due[:] += counted[:, None] * due
        c.day_spread[:] += counted[:, None] * due**2 * (self._least + 1 / own)
        total = np.maximum(c.day_due / c.phi[:, None], 1e-9)
        spread = c.day_spread / np.maximum(c.day_due, 1e-9) ** 2
        loose = _variation(c.days_off, c.days_scale, c.days, self._least) + c.phi / np.maximum(c.known, 1e-9)
        size, total = (1 / (loose[:, None] + spread))[:, :, None], total[:, :, None]
        ratio = np.log((size + total) / (size + self.ratios * total))
        gain = size * ratio + (c.day_events / c.phi)[:, None, None] * (self._log + ratio)
        # What an hour may not add is left for the hours of the day that may.
        change: F64 = np.where(tested[:, None, None], np.minimum(gain - c.gain, self._most(events, due)), 0.0)
        c.gain[:] += change
        return change

    def _most(self, events: F64, due: F64) -> F64:
        """What an hour may add to the evidence for each ratio, shape (series, SHIFTS, J)."""
        c = self._rows.columns
        lumps = due / c.phi[:, None]
        fewer = np.where(lumps >= _SURELY, np.minimum(lumps, c.fewer_most[:, None]), lumps)
        # After more than was due, as where a job is an hour off midnight, all that comes is less than that.
        fewer = np.where(_FEWER * events[:, None] <= due, fewer, 0.0)
        more = np.where(events[:, None] >= _MORE * due, c.more_most[:, None], 0.0)
        most: F64 = np.where(self.ratios < 1, fewer[:, :, None], more[:, :, None])
        return most

    def _stepped(self, change: F64) -> F64:
        """R after a change of the logarithm of its likelihood ratio, shape (series, SHIFTS, J)."""
        r, grown = self._rows.columns.r, np.exp(change)
        as_it_is = np.minimum((r[:, :1] + 1 / HOURS_PER_WEEK) * grown[:, :1], _CAP)
        # Held before they take in the hour: an hour earlier has shown before what the profile as it is shows only now.
        others = (np.minimum(r[:, 1:], as_it_is) + 1 / HOURS_PER_WEEK) * grown[:, 1:]
        return np.concatenate((as_it_is, np.minimum(others, _CAP)), axis=1)

    def _track(self, hour: int, change: F64, events: F64, due: F64, tested: Bools) -> None:
        """Advance Page's cusum of the same evidence: since when, and what came since."""
        c, counted = self._rows.columns, tested.astype(np.float64)
        cusum = c.cusum + change
        over = cusum > 0
        c.cusum[:] = np.where(over, cusum, 0.0)
        c.since[:] = np.where(over, c.since, hour + 1)
        c.seen[:] = np.where(over, c.seen + (counted * events)[:, None, None], 0.0)
        c.foreseen[:] = np.where(over, c.foreseen + (counted[:, None] * due)[:, :, None], 0.0)

    def _compare(self, slots: I64, events: F64, due: F64, tested: Bools, clocks: Clocks) -> None:
        """How much better the hours fit a profile that is an hour off (Page's cusum of the log likelihood ratio).

        Each profile is as uncertain as what it has seen: where hours are alike, chance makes one of three look best.
        """
        c = self._rows.columns
        a, n = 1 / (self._least + 1 / self._own(slots, clocks)), (events / c.phi)[:, None]
        mu = np.maximum(due / c.phi[:, None], 1e-9)
        likely = gammaln(n + a) - gammaln(a) + a * np.log(a / (a + mu)) + n * np.log(mu / (a + mu))
        lead = np.maximum(c.lead + likely - likely[:, :1], 0.0)
        np.copyto(c.lead, lead, where=tested[:, None])

    def _learn_hour(self, slot: I64, events: F64, exposure: F64, due: F64, learning: Bools, holiday: Bools) -> None:
        c, row = self._rows.columns, np.arange(len(slot))
        seen, at = c.events[row, slot], c.exposure[row, slot]
        predicted = learning & ~holiday & (at > 0)
        terms = apart(events, exposure, (seen, np.maximum(at, 1e-9)), c.mean)
        kept = _WEEKLY ** (1 / HOURS_PER_WEEK)
        for column, value in zip((c.hours_off, c.hours_scale, c.repeated, c.level), terms, strict=True):
            _fade(column, value, predicted, kept)
        _fade(c.hours, 1.0, predicted, kept)
        _fade(c.crowds, (events >= _CROWD * due) & (events >= due + _MANY * c.phi), predicted, kept)
        surely = predicted & (due >= _SURELY * c.phi)
        _fade(c.surely, 1.0, surely, kept)
        _fade(c.empty, events <= _EMPTY * due, surely, kept)
        _fade(c.chance, np.exp(-due / c.phi), surely, kept)
        c.events[row, slot] = np.where(learning, seen * _WEEKLY + events, seen)
        c.exposure[row, slot] = np.where(learning, at * _WEEKLY + exposure, at)
        c.holidays[:] += learning & holiday

    def _begin_days(self, midnight: Bools, hour: int, learning: Bools) -> None:
        """Where a day has ended before `hour`: learn from it, and fix what holds for the next one."""
        c = self._rows.columns
        due = c.day_due[:, 0]
        off = (c.day_events - due) ** 2 - due * c.phi - c.day_spread[:, 0]
        predicted = midnight & learning & (hour - c.began >= HOURS_PER_WEEK + HOURS_PER_DAY) & (due > 0)
        few = c.r[:, 0, self.ratios < 1].mean(axis=1) >= _DOUBTFUL
        for column, held, value in (
            (c.days_off, c.held_off, off),
            (c.days_scale, c.held_scale, due**2),
            (c.days, c.held_days, np.ones(len(due))),
        ):
            _fade(column, held + value, predicted & ~few, _WEEKLY ** (1 / 7))
            held[:] = np.where(predicted & few, held + value, np.where(midnight, 0.0, held))
        self._move(np.flatnonzero(midnight & learning), hour)
        rows = np.flatnonzero(midnight)
        for column in (c.day_events, c.day_due, c.day_spread, c.gain):
            column[rows] = 0.0
        events, exposure = (column[rows, :HOURS_PER_WEEK].sum(axis=1) for column in (c.events, c.exposure))
        c.phi[rows] = overdispersion(c.hours_off[rows], c.hours_scale[rows], c.hours[rows])
        c.shape[rows] = shape(c.repeated[rows], c.level[rows], c.phi[rows])
        c.mean[rows] = np.where(exposure > 0, events / np.maximum(exposure, 1e-9), 1.0)
        c.known[rows] = events
        empty = np.maximum(c.empty - c.chance - _CHANCE_Z * np.sqrt(c.chance), 0.0)
        # Of many busy hours not one was empty: it is no job that may stay away.
        rarely = _OF_ITSELF * np.exp(-np.maximum(c.surely - _MANY_HOURS, 0.0) / _FADES)
        for column, number, odd, c0 in (
            (c.fewer_most, c.surely, empty, rarely),
            (c.more_most, c.hours, c.crowds, np.full(len(empty), _OF_ITSELF)),
        ):
            column[rows] = np.log((number[rows] + c0[rows]) / (odd[rows] + c0[rows]))

    def _move(self, rows: I64, hour: int) -> None:
        """Move the profiles that the day before `hour` has shown to be an hour off."""
        c = self._rows.columns
        there = np.abs(c.moved[rows, None] + SHIFTS) <= 1
        alike = (c.day_events[rows, None] >= c.day_due[rows] / 2) & (c.day_events[rows, None] <= c.day_due[rows] * 2)
        enough = c.day_due[rows] >= _FEW * c.phi[rows, None]
        lead = np.where(there & alike & enough, c.lead[rows], 0.0)
        best, moves = lead.argmax(axis=1), lead.max(axis=1) >= _SURE
        c.moved[rows[moves]] += SHIFTS[best[moves]]
        self.clear(rows[moves], hour - 1)


def _variation(off: F64, scale: F64, count: F64, least: float) -> F64:
    """tau^2 of days, an upper bound of 70 % confidence, shape (series,)."""
    learned = np.maximum(off, 0.0) / np.maximum(scale, 1e-9)
    return np.maximum(upper(learned, np.maximum(count, 1.0), _LEVEL_Z), least)


def _fade(column: F64, value: F64 | Bools | float, chosen: Bools, kept: float) -> None:
    """Discount what was learned and add `value`, in place, where `chosen`."""
    np.copyto(column, column * kept + value, where=chosen)
