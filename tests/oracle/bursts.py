"""What outcomes weigh that one source gave of one group in one minute, as `models/stats/burst_agreement.py` and
`models/drift/success_rate/bursts.py` have it: one burst and one number at a time, and without any of their code.
"""

from __future__ import annotations

import math
from collections import defaultdict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

from scipy.stats import chi2

from oracle.variation import grained
from oracle.weights import AGREEING, MEMORY_DAYS, worth

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from oracle.drift import Facts, Group

ALLOWED, ERROR, MOST, LOW, HEAVIEST = 0.02, 1e-4, 8.0, 0.02, 50
SIZES = (6, 24, 96, 384)
ONE_SIDED = 10


class Burst(NamedTuple):
    """Failures and trials."""

    failures: int
    trials: int


class Less(NamedTuple):
    """By how much failures and successes of a watch weigh less than their number, and what variances exceed."""

    failures: float = 0.0
    successes: float = 0.0
    excess: float = 0.0


@dataclass
class Kind:
    """Bursts of one size of a task type's source."""

    past: dict[str, float] = field(default_factory=lambda: defaultdict(float))
    today: dict[str, float] = field(default_factory=lambda: defaultdict(float))
    agree: bool = False
    possible: float = 1.0
    """What the correlation may be, as the day began; and upper bounds of it, where bursts agree."""
    rho: float = 0.0
    likely: float = 0.0
    heard: set[bool] = field(default_factory=set)
    """Verdicts so far."""
    bursts: int = 0

    def compare(self, one: Burst, other: Burst) -> None:
        """Two bursts of one group, one after the other."""
        f, n = one.failures + other.failures, one.trials + other.trials
        if f in (0, n):
            return
        apart: float = (n - 1) * (one.failures * other.trials - other.failures * one.trials) ** 2
        apart /= one.trials * other.trials * f * (n - f)
        size = 2 / (1 / one.trials + 1 / other.trials) - 1
        weight = min(one.trials, other.trials, HEAVIEST)
        both = one.failures * (other.trials - other.failures) + other.failures * (one.trials - one.failures)
        differ = weight * both / (one.trials * other.trials)
        within = sum(b.failures * (b.trials - b.failures) / (b.trials * (b.trials - 1)) for b in (one, other))
        beyond = differ - weight * within
        terms: dict[str, float] = {
            "pairs": 1, "apart": apart, "bounded": min(apart / (1 + size * ALLOWED), MOST), "sizes": size,
            "beyond": beyond, "differ": differ, "bb": beyond**2, "bd": beyond * differ, "dd": differ**2,
        }  # fmt: skip
        for name, value in terms.items():
            self.today[name] += value

    def begin_day(self, days: int) -> None:
        """What is known by now is used from here on."""
        keep = math.exp(-days / MEMORY_DAYS)
        for name in {*self.past, *self.today}:
            self.past[name] = (self.past[name] + self.today[name]) * keep
        self.today.clear()
        pairs = self.past["pairs"]
        if not pairs:
            return
        self.agree = bool(2 / 3 * self.past["bounded"] > chi2.ppf(1 - ERROR, 2 / 3 * pairs))
        mean = 2 / 3 * self.past["apart"] / chi2.ppf(LOW, 2 / 3 * pairs)
        self.possible = min(max((mean - 1) * pairs / self.past["sizes"], 0.0), 1.0)
        self.rho, self.likely = (self._bound(deviations) if self.agree else 0.0 for deviations in (2, 1))

    def _bound(self, deviations: int) -> float:
        of = self.past
        rho = of["beyond"] / of["differ"]
        spread = math.sqrt(max(of["bb"] - 2 * rho * of["bd"] + rho**2 * of["dd"], 0.0) * 3 / 2)
        above = 1 - (1 - rho) * of["pairs"] / (of["pairs"] + AGREEING) + deviations * spread / of["differ"]
        return min(max(above, 0.0), 1.0)

    def correlation(self, trials: int) -> tuple[float, float]:
        """Of the last burst: by which it weighs, and by which intervals are wider."""
        doubt = 0.0 if self.agree else max(self.possible - ALLOWED, 0.0)
        one_sided = len(self.heard) < 2 and self.bursts > ONE_SIDED
        if one_sided or doubt * (trials - 1) < 1:
            doubt = 0.0
        return self.rho + doubt, self.likely + doubt


class ReferenceBursts:
    """Of all groups."""

    def __init__(self) -> None:
        self.kinds: dict[tuple[str, str, int], Kind] = {}
        self._last: dict[tuple[Group, str, int], Burst] = {}

    def begin_day(self, days: int) -> None:
        """So many days after the one before."""
        for kind in self.kinds.values():
            kind.begin_day(days)

    def minute(self, facts: Mapping[tuple[str, str, str], Facts]) -> dict[Group, Less]:
        """What trials of a minute weigh less than their number, by group and roll-up."""
        parts: dict[tuple[Group, str], list[tuple[Burst, tuple[float, float]]]] = {}
        for group, happened in sorted(facts.items()):
            for source in sorted({source for source, _ in happened.said} if not happened.of_units else ()):
                verdicts = [success for one, success in happened.said if one == source]
                if len(verdicts) < 2:
                    continue
                burst = Burst(verdicts.count(False), len(verdicts))
                one = burst, self._heard(group, source, burst)
                wider: tuple[Group, ...] = ((group[0], None, None), (group[0], group[1], None), group)
                for wide in wider:
                    parts.setdefault((wide, source), []).append(one)
        found: dict[Group, Less] = {}
        for (of, _), bursts in parts.items():
            one_more, so_far = _less(bursts), found.get(of, Less())
            failures, successes, excess = (a + b for a, b in zip(so_far, one_more, strict=True))
            found[of] = Less(failures, successes, excess)
        return found

    def _heard(self, group: tuple[str, str, str], source: str, burst: Burst) -> tuple[float, float]:
        size = sum(burst.trials >= least for least in SIZES)
        kind = self.kinds.setdefault((group[0], source, size), Kind())
        kind.heard |= {True} if not burst.failures else {False} if burst.failures == burst.trials else {True, False}
        kind.bursts += 1
        before = self._last.get((group, source, size))
        if before is not None:
            kind.compare(before, burst)
        self._last[group, source, size] = burst
        return kind.correlation(burst.trials)


def _less(bursts: Sequence[tuple[Burst, tuple[float, float]]]) -> Less:
    """Of one source's bursts in a minute of a watch, which are one where they agree."""
    some = [(burst, rhos) for burst, rhos in bursts if rhos[0] > 0]
    if not some:
        return Less()
    trials, failures = (sum(getattr(burst, name) for burst, _ in some) for name in ("trials", "failures"))
    rho, likely = (max(rhos[at] for _, rhos in some) for at in (0, 1))
    weight = worth(trials, rho) / trials
    bad, good = (count - grained(count * weight) for count in (failures, trials - failures))
    return Less(bad, good, grained(likely * trials * (trials - 1)))
