"""What trials of one unit weigh, as `models/stats/agreement.py` and `models/drift/success_rate/units.py` have it.

One unit, one pair and one number at a time, and without any of their code.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from oracle.expected import DAY
from oracle.variation import grained

if TYPE_CHECKING:
    from collections.abc import Iterable

COHORT, AGREEING, PAIRS, DEVIATIONS = 10, 2.0, 3.0, 2.0
MEMORY_DAYS = 56.0
SIZES_DAYS = 14.0


@dataclass
class Unit:
    """Trials of one unit within one watch."""

    trials: int = 0
    failures: int = 0
    first: int = 0


def worth(trials: int, rho: float) -> float:
    """How many independent trials so many of one unit are in likelihood ratios: by rho^(3/4), as two roots."""
    stronger = math.sqrt(rho) * math.sqrt(math.sqrt(rho))
    return trials / (1 + (trials - 1) * stronger) if trials else 0.0


@dataclass
class Agreement:
    """Of one task type: what its cohorts of units have shown, newest with weight 1."""

    units: float = 0.0
    pairs: float = 0.0
    within: float = 0.0
    chance: float = 0.0
    xx: float = 0.0
    xy: float = 0.0
    yy: float = 0.0

    def forget(self, days: int) -> None:
        """So many days have passed."""
        keep = math.exp(-days / MEMORY_DAYS)
        for name in vars(self):
            setattr(self, name, getattr(self, name) * keep)

    def learn(self, cohort: list[tuple[int, int]]) -> None:
        """Units of one group, each (trials, failures)."""
        n, f = sum(n for n, _ in cohort), sum(f for _, f in cohort)
        # Of trials of different units: how often one fails and the other does not.
        unlike = f * (n - f) - sum(f * (n - f) for n, f in cohort)
        p = f / n
        differing = [round(f * (n - f) / (n - 1) * 1024) / 1024 for n, f in cohort]
        by_chance = [n * p * p + (1 - 2 * p) * f for n, f in cohort]
        of_one = len(cohort) / (len(cohort) - 1)
        self.units += len(cohort)
        self.pairs += min(sum(f * (n - 1) for n, f in cohort), sum((n - f) * (n - 1) for n, f in cohort))
        self.within += sum(differing)
        self.chance += n * max(unlike, 0) / max(n * n - sum(n * n for n, _ in cohort), 1)
        self.xx += of_one * sum(x * x for x in differing)
        self.xy += of_one * sum(x * y for x, y in zip(differing, by_chance, strict=True))
        self.yy += of_one * sum(y * y for y in by_chance)

    def rho(self, deviations: float = DEVIATIONS) -> float:
        """Upper bound of the correlation within units; with one deviation what intervals use."""
        if self.chance <= 0 or self.pairs <= 0:
            return 1.0
        differ = self.within / self.chance
        error = math.sqrt(max(self.xx - 2 * differ * self.xy + differ**2 * self.yy, 0.0)) / self.chance
        least = differ * self.units / (self.units + AGREEING) * self.pairs / (self.pairs + PAIRS) - deviations * error
        return min(max(1 - least, 0.0), 1.0)


@dataclass
class Weights:
    """Of one watch."""

    agreement: Agreement
    """Of its task type."""
    leaf: bool
    """Whether it is a group: only these teach what units have in common."""
    open: dict[int, Unit] = field(default_factory=dict)
    cohort: list[tuple[int, int]] = field(default_factory=list)
    arrived: float = 0.0
    """Trials, of calls with and without a unit; older ones discounted, as are `pairs`."""
    pairs: float = 0.0
    """Ordered pairs of two trials of one unit."""
    exceeding: float = 0.0
    """By how many trials the variance of what came in bursts exceeds that of independent ones."""

    def begin_day(self, day: int, gap: int) -> None:
        """Forget the units whose first trial was before the day before this one."""
        keep = math.exp(-gap / SIZES_DAYS)
        self.arrived, self.pairs, self.exceeding = self.arrived * keep, self.pairs * keep, self.exceeding * keep
        over = [name for name, unit in self.open.items() if unit.first < (day - 1) * DAY]
        for name in over:
            unit = self.open.pop(name)
            if self.leaf and unit.trials > 1:
                self.cohort.append((unit.trials, unit.failures))
        if len(self.cohort) >= COHORT:
            self.agreement.learn(self.cohort)
            self.cohort = []

    def design_effect(self, rho: float) -> float:
        """How many times the variance of a rate is that of independent trials (Kish 1965)."""
        return 1 + (rho * self.pairs + self.exceeding) / self.arrived if self.arrived else 1.0

    def take(self, minute: int, count: int, trials: Iterable[tuple[int, bool]], rho: float) -> tuple[float, float]:
        """By how much the failures, and the successes, of a minute weigh less than their number, `count` in all."""
        self.arrived += count
        by_unit: dict[int, list[bool]] = {}
        for name, success in trials:
            by_unit.setdefault(name, []).append(success)
        less = [0.0, 0.0]
        for name, verdicts in by_unit.items():
            unit = self.open.setdefault(name, Unit(first=minute))
            weight = (worth(unit.trials + len(verdicts), rho) - worth(unit.trials, rho)) / len(verdicts)
            for success in (False, True):
                count = verdicts.count(success)
                less[success] += count - grained(count * weight)
            self.pairs += len(verdicts) * (len(verdicts) - 1) + 2 * unit.trials * len(verdicts)
            unit.trials, unit.failures = unit.trials + len(verdicts), unit.failures + verdicts.count(False)
        return less[0], less[1]
