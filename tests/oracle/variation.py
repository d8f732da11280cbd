"""What hours and days vary of themselves, as `models/stats/dispersion.py` has it in words: one number at a time."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

PRIOR, LEAST, MOST = 0.005, 0.0001, 0.02
PRIOR_WEIGHT = 4 * (1 / (2 * PRIOR)) ** 2
OWN_DF = 12.0
MEMORY_DAYS = 56.0
QUANTILE_40 = -0.2533471031357997


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
        self.hours, self.yesterday = {}, None

    def end_day(self, rate: float) -> None:
        """Pearson's chi-square of the hours within their day, and the difference from the day before."""
        if not self.hours:
            return
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

    def correlate(self, watches: Sequence[Variation]) -> None:
        """From all days so far, at the beginning of a day."""
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
        self.rho_hour, self.rho_day = pooled(hours), pooled(days)
        for one, hour, day in zip(watches, hours, days, strict=True):
            one.rho_hour, one.rho_day = moderated(*hour, self.rho_hour), moderated(*day, self.rho_day)
            if one.together >= 0.5:
                one.rho_hour = LEAST


def pooled(groups: Sequence[tuple[float, float, float]]) -> float:
    """The correlation of all groups of (dispersion, degrees of freedom, trials alike), drawn towards the prior."""
    weights = [df * (size / (1 + PRIOR * size)) ** 2 for _, df, size in groups]
    found = sum(w * (dispersion - 1) / size for w, (dispersion, _, size) in zip(weights, groups, strict=True))
    return min(max((PRIOR_WEIGHT * PRIOR + found) / (PRIOR_WEIGHT + sum(weights)), LEAST), MOST)


def moderated(dispersion: float, df: float, size: float, everyone: float) -> float:
    """Smyth's moderated dispersion, its upper 60 % bound by Wilson and Hilferty, as a correlation."""
    if df == 0:
        return everyone
    mean = (OWN_DF * (1 + everyone * size) + df * dispersion) / (OWN_DF + df)
    spread = 2 / (9 * (OWN_DF + df))
    bound = mean / max(1 - spread + QUANTILE_40 * math.sqrt(spread), 0.01) ** 3
    return min(max((bound - 1) / size, 0.0), MOST)
