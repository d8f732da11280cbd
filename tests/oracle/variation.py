"""What hours and days vary of themselves, as `models/stats/dispersion.py` has it in words: one number at a time."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from itertools import compress
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

PRIOR, LEAST, MOST = 0.005, 0.00003, 0.02
POINTS: list[float] = [LEAST * (MOST / LEAST) ** (j / 13) for j in range(14)]
MEMORY_DAYS = 56.0


def grained(value: float) -> float:
    """To the nearest multiple of 1/64, half to even."""
    return round(value * 64) / 64


@dataclass
class Sum:
    """Weighted sums of one kind of dispersion: of the chi-squares, of how many there were, and of trials alike."""

    chi_square: float = 0.0
    count: float = 0.0
    size: float = 0.0

    def forget(self) -> None:
        """A day with trials has passed."""
        keep = math.exp(-1 / MEMORY_DAYS)
        self.chi_square, self.count, self.size = self.chi_square * keep, self.count * keep, self.size * keep


@dataclass
class Variation:
    """Of one watch. Counts are pairs [events, trials]."""

    rho_hour: float = PRIOR
    rho_day: float = PRIOR
    hours: dict[int, list[float]] = field(default_factory=dict)
    """Of today, since the last alarm, by hour since 1970."""
    opens: int = 0
    """Quarter of the UTC day with which its own days begin."""
    carried: tuple[int, float, float] = (-9, 0.0, 0.0)
    """An own day that a midnight cut in two, the trials of its quarters before that, as they count, and its rho_day."""
    yesterday: tuple[float, float] | None = None
    within: Sum = field(default_factory=Sum)
    between: Sum = field(default_factory=Sum)
    together: float = 0.0
    """Share of a day's trials in its busiest hour, as it usually is."""

    def of_hour(self, hour: int) -> tuple[float, float]:
        """What this hour has shown."""
        events, trials = self.hours.get(hour, (0.0, 0.0))
        return events, trials

    def of_quarter(self, hour: int) -> tuple[float, float]:
        """What the earlier hours of this quarter of the day have shown: one of n trials counts as n / (1 + n rho_h)."""
        return self._counted([c for at, c in self.hours.items() if at // 6 == hour // 6 and at != hour])

    def of_day(self, hour: int) -> tuple[float, float]:
        """What the day's earlier quarters have shown, of which each counts likewise."""
        quarters: dict[int, list[list[float]]] = {}
        for at, counts in self.hours.items():
            if at // 6 != hour // 6:
                quarters.setdefault(at // 6, []).append(counts)
        return self._counted([list(self._counted(hours)) for hours in quarters.values()])

    def own_day(self, hour: int) -> int:
        """Number of the own day that an hour lies in."""
        return (hour // 6 - self.opens) // 4

    def rho_own(self, hour: int) -> float:
        """What was known of days as the own day of this hour began."""
        return self.carried[2] if self.carried[0] == self.own_day(hour) else self.rho_day

    def of_own_day(self, hour: int) -> float:
        """Trials of the earlier quarters of its own day, each as it counts."""
        day, carried, _ = self.carried
        quarters: dict[int, list[list[float]]] = {}
        for at, counts in self.hours.items():
            if at // 6 != hour // 6 and self.own_day(at) == self.own_day(hour):
                quarters.setdefault(at // 6, []).append(counts)
        counted = self._counted([list(self._counted(hours)) for hours in quarters.values()])[1]
        return counted + (carried if day == self.own_day(hour) else 0.0)

    def _carry(self, hour: int) -> None:
        """Keep what the own day of the day's last hour has shown, that hour's quarter among it."""
        quarter = [counts for at, counts in self.hours.items() if at // 6 == hour // 6]
        (_, trials) = self._counted([list(self._counted(quarter))])
        self.carried = self.own_day(hour), self.of_own_day(hour) + trials, self.rho_own(hour)

    def _counted(self, parts: Sequence[Sequence[float]]) -> tuple[float, float]:
        events, trials = (sum(grained(part[i] / (1 + part[1] * self.rho_hour)) for part in parts) for i in (0, 1))
        return events, trials

    def add(self, hour: int, events: float, trials: float) -> None:
        """Count a batch."""
        counts = self.hours.setdefault(hour, [0.0, 0.0])
        counts[0] += events
        counts[1] += trials

    def forget_change(self) -> None:
        """After an alarm: today and the day before do not count for the days to come."""
        self.hours, self.yesterday, self.carried = {}, None, (-9, 0.0, 0.0)

    def end_day(self, rate: float) -> None:
        """Pearson's chi-square of the hours within their day, and the difference from the day before."""
        if not self.hours:
            return
        self._carry(max(self.hours))
        counts = list(self.hours.values())
        events, trials = sum(e for e, _ in counts), sum(n for _, n in counts)
        if trials >= 20:
            self.together += 0.3 * (max(n for _, n in counts) / trials - self.together)
        self.within.forget()
        self.between.forget()
        self.within.chi_square += max(sum(e * e / n for e, n in counts) - events * events / trials, 0.0) / variance(
            events, trials, rate
        )
        self.within.count += len(counts) - 1
        self.within.size += trials - sum(n * n for _, n in counts) / trials
        if self.yesterday is not None:
            e0, n0 = self.yesterday
            shares = 1 / trials + 1 / n0
            difference = events / trials - e0 / n0
            self.between.chi_square += difference**2 / shares / variance(events + e0, trials + n0, rate)
            self.between.count += 1
            self.between.size += 2 / shares
        self.yesterday = events, trials
        self.hours = {}

    def inflation(self) -> float:
        """Dispersion of hours within a day: 1 where trials are independent."""
        return self.within.chi_square / self.within.count if self.within.count > 0 else 1.0


def variance(events: float, trials: float, rate: float) -> float:
    """Of a trial, at the rate that was seen together with five events at the learned rate."""
    weight = 5 / min(rate, 1 - rate)
    seen = (events + weight * rate) / (trials + weight)
    return seen * (1 - seen)


@dataclass
class Everyone:
    """All groups' correlations, which those have that have shown none of their own."""

    rho_hour: float = PRIOR
    rho_day: float = PRIOR

    def correlate(self, watches: Sequence[Variation], apart: Sequence[bool]) -> None:
        """From all days so far, at the beginning of a day; the points' weights from those that are no roll-ups."""
        hours, days = [], []
        for one in watches:
            size = one.within.size / one.within.count if one.within.count > 0 else 1.0
            hours.append((one.inflation(), one.within.count, max(size, 1.0)))
            inflated = 1.0 if one.together >= 0.5 else max(one.inflation(), 1.0)
            count = one.between.count
            dispersion = one.between.chi_square / count if count > 0 else 1.0
            size = one.between.size / count if count > 0 else 1.0
            # k successive differences overlap: they count as much as 2k / 3 independent ones.
            days.append((dispersion / inflated, 2 / 3 * count, max(size / inflated, 1.0)))
        of_hours, of_days = (weights(list(compress(groups, apart))) for groups in (hours, days))
        self.rho_hour, self.rho_day = cautious(mean(of_hours)), cautious(mean(of_days))
        for one, hour, day in zip(watches, hours, days, strict=True):
            one.rho_hour, one.rho_day = (
                cautious(posterior_mean(*of_one, of_all)) for of_one, of_all in ((hour, of_hours), (day, of_days))
            )
            if one.together >= 0.5:
                one.rho_hour = LEAST


def cautious(rho: float) -> float:
    """What a correlation is taken for."""
    return min(MOST, rho * 1.3)


def mean(of_points: Sequence[float]) -> float:
    """Of the correlation, by weights that need not sum to 1."""
    return sum(w * rho for w, rho in zip(of_points, POINTS, strict=True)) / sum(of_points)


def likelihood(dispersion: float, df: float, size: float) -> list[float]:
    """Of each point: df * dispersion is (1 + rho * size) times a chi-square."""
    logs = [-df / 2 * (math.log(1 + rho * size) + dispersion / (1 + rho * size)) for rho in POINTS]
    return [math.exp(one - max(logs)) for one in logs]


def posterior_mean(dispersion: float, df: float, size: float, weight: Sequence[float]) -> float:
    """Of a group's correlation, where the points have these weights among all groups."""
    if df == 0:
        return mean(weight)
    return mean([w * one for w, one in zip(weight, likelihood(dispersion, df, size), strict=True)])


def weights(groups: Sequence[tuple[float, float, float]]) -> list[float]:
    """Of the points, for groups of (dispersion, degrees of freedom, trials alike): EM, by steps half as far again.

    The prior, log-normal about .0034, weighs as much as half a group.
    """
    shape = [math.exp(-0.5 * (math.log(rho / 0.0034) / 1.5) ** 2) for rho in POINTS]
    prior = [one / sum(shape) for one in shape]
    known = [likelihood(*group) for group in groups if group[1] > 0]
    weight = prior
    for _ in range(70):
        shares = [1 / sum(w * one for w, one in zip(weight, of_group, strict=True)) for of_group in known]
        alike = [sum(share * of_group[j] for share, of_group in zip(shares, known, strict=True)) for j in range(14)]
        step = [p / 2 + w * a for p, w, a in zip(prior, weight, alike, strict=True)]
        step = [s * math.sqrt(s / w) for s, w in zip(step, weight, strict=True)]
        weight = [s / sum(step) for s in step]
    return weight
