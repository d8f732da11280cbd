"""Tests at known moments as their documentation has them: one minute at a time, in plain Python but for one integral.

What is written in words in `models/stats/two_samples.py`, `models/stats/alpha_account.py`,
`models/drift/success_rate/known_moment/` and docs/statistics.md.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from oracle.expected import DAY, HOUR

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from numpy.typing import NDArray

    from models.drift.settings import DriftSettings
    from oracle.drift import Group, Watch

Counts = dict[int, list[float]]
"""Failures and trials, by hour."""
LEVELS = [math.ceil(8 * 1.5**k) for k in range(20)]
UNIT = 2**40
"""Alpha is counted in parts of this."""
WINDOW = 28 * 24
FOLLOWING = 0.002
ONE_LOOK = 0.0005


class KnownFound(NamedTuple):
    """An alarm of a look at the end of `minute`; (failures, trials) before and since, as they are counted."""

    minute: int
    group: Group
    worse: bool
    changed: int
    before: tuple[float, float]
    since: tuple[float, float]
    p: float
    inflation: float
    others: int


@dataclass
class Under:
    """A moment under test."""

    watch: Watch
    minute: int
    against: Watch | None
    """None of a mark."""
    above: Watch | None
    seen: float
    earlier: tuple[float, float]
    """Of a mark: failures and trials of its hour before it."""
    text: str
    trials: float = 0.0
    paid: int = 0
    followed: bool = False


@dataclass
class ReferenceKnown:
    """Takes what the watches have at the end of each minute."""

    settings: DriftSettings
    balance: int = 0
    found: list[KnownFound] = field(default_factory=list)
    _under: list[Under] = field(default_factory=list)
    _new: list[Watch] = field(default_factory=list)
    _marks: list[tuple[int, str, str]] = field(default_factory=list)
    _paid: dict[Group, int] = field(default_factory=dict)
    _since: dict[Group, int] = field(default_factory=dict)
    _alarmed: dict[tuple[str | None, str | None, bool], dict[str, int]] = field(default_factory=dict)

    def mark(self, minute: int, task: str, text: str) -> None:
        """A mark that took effect in this minute."""
        self._marks.append((minute, task, text))

    def begin_day(self, day: int, watches: Iterable[Watch]) -> None:
        """What holds for a UTC day."""
        self._since = {watch.group: watch.since for watch in watches if watch.since is not None}
        self._under = [one for one in self._under if day * DAY - one.minute <= WINDOW * HOUR]

    def arms(self, minute: int, new: Sequence[Watch], watches: dict[Group, Watch]) -> None:
        """Arms that are seen for the first time, after the warm-up of their task type."""
        for watch in new:
            group = watch.group
            parent = self._parent(watch, minute, watches)
            if parent is not None and group[0] not in self.settings.unpromised_tasks:
                arm, above, seen = parent
                self._under.append(Under(watch, minute, arm, above, seen, (0.0, 0.0), ""))
            assert group[2] is not None

    def minute(self, minute: int, watches: dict[Group, Watch], batches: Iterable[Watch]) -> None:
        """Alarms at the end of a minute in which these watches had trials."""
        with_trials = [watch for watch in batches if watch.history and watch.history[-1][0] == minute]
        if not with_trials:
            return
        for at, task, text in sorted(
            (one for one in self._marks if one[0] <= minute), key=lambda one: (one[0], one[2])
        ):
            self._marks.remove((at, task, text))
            for watch in watches.values():
                if watch.group[1] is None and task in {"*", watch.group[0]}:
                    self._begin_mark(watch, at, text)
        for watch in with_trials:
            if minute >= self._paid.get(watch.group, -1):
                self._paid[watch.group] = minute + 7 * DAY
                self.balance += round(self.settings.false_alarms_per_1000_groups_per_week / 20_000 * UNIT)
        looks = [one for one in self._under if one.watch in with_trials and self._counts(one, minute)]
        for one in sorted(looks, key=lambda one: ([part or "" for part in one.watch.group], one.minute, one.text)):
            self._look(one, minute)
        self._under = [one for one in self._under if one.trials < LEVELS[-1]]

    def _counts(self, one: Under, minute: int) -> bool:
        """Count the minute's trials; whether a level was reached."""
        before = one.trials
        if minute >= one.minute:
            one.trials += one.watch.history[-1][2]
        return any(before < level <= one.trials for level in LEVELS)

    def _look(self, one: Under, minute: int) -> None:
        against = one.watch if one.against is None else one.against
        since = self._since.get(against.group, -1)
        if one.against is None:
            hour, (f, n) = one.minute // HOUR, one.earlier
            every = by_hour(one.watch, minute)
            after = {at: list(counts) for at, counts in every.items() if at >= hour}
            if hour in after:
                after[hour] = [after[hour][0] - f, after[hour][1] - n]
            before = {at: counts for at, counts in every.items() if at < hour and at * HOUR >= since}
            if n and hour * HOUR >= since:
                before[hour] = [f, n]
        else:
            assert one.above is not None
            before = {at: counts for at, counts in by_hour(against, minute).items() if at * HOUR >= since}
            after = by_hour(one.watch, minute)
            of_all = [counts for at, counts in by_hour(one.above, minute).items() if at >= one.minute // HOUR]
            share = min(total(after)[1] / sum(n for _, n in of_all), 1.0)
            if (1 - share) ** one.seen > 0.001:
                return
        both = (one.watch, against)
        rho_day, rho_hour = (max(getattr(watch.variation, name) for watch in both) for name in ("rho_day", "rho_hour"))
        held = compared(before, after, rho_day, rho_hour)
        if held is None:
            return
        (f0, n0), (f1, n1), inflation = held
        alpha = min(self.balance // 20, int(ONE_LOOK * UNIT))
        self.balance -= alpha
        one.paid += alpha
        for worse, part in ((True, 0.8), (False, 0.2)):
            p = (
                by_chance(f0 / inflation, n0 / inflation, f1 / inflation, n1 / inflation)
                if worse
                else by_chance((n0 - f0) / inflation, n0 / inflation, (n1 - f1) / inflation, n1 / inflation)
            )
            task, model, config = one.watch.group
            elsewhere = self._alarmed.get((model, config, worse), {}) if config is not None else {}
            others = [task_ for task_, at in elsewhere.items() if task_ != task and at >= minute - 28 * DAY]
            if p <= part * alpha / UNIT:
                self._under = [other for other in self._under if other is not one]
                self.balance += one.paid
                if config is not None:
                    self._alarmed.setdefault((model, config, worse), {})[task] = minute
                others = []
            elif others and not one.followed and p <= FOLLOWING:
                one.followed = True
            else:
                continue
            self.found.append(
                KnownFound(minute, one.watch.group, worse, one.minute, (f0, n0), (f1, n1), p, inflation, len(others))
            )
            return

    def _begin_mark(self, watch: Watch, minute: int, text: str) -> None:
        before = by_hour(watch, minute - 1)
        f, n = before.get(minute // HOUR, (0.0, 0.0))
        if total(before)[1] >= self.settings.min_trials and watch.group[0] not in self.settings.unpromised_tasks:
            self._under.append(Under(watch, minute, None, None, 0.0, (f, n), text))

    def _parent(self, watch: Watch, minute: int, watches: dict[Group, Watch]) -> tuple[Watch, Watch, float] | None:
        task, model, _ = watch.group
        for above in (watches[task, model, None], watches[task, None, None]):
            arms = [one for one in watches.values() if one.group[2] is not None and one.group[0] == task]
            arms = [one for one in arms if above.group[1] in {None, one.group[1]}]
            best = min(arms, key=lambda one: (-total(by_hour(one, minute - 1))[1], one.group[1:]))
            if total(by_hour(best, minute - 1))[1] >= self.settings.min_trials:
                return best, above, total(by_hour(above, minute - 1))[1]
        return None


def by_hour(watch: Watch, until: int) -> Counts:
    """Of the hours of 28 days, up to the end of a minute."""
    counts: Counts = {}
    for minute, f, n in watch.history:
        if minute <= until and minute // HOUR > until // HOUR - WINDOW:
            own = counts.setdefault(minute // HOUR, [0.0, 0.0])
            own[0] += f
            own[1] += n
    return counts


def total(counts: Counts) -> tuple[float, float]:
    """Failures and trials in all."""
    return sum(f for f, _ in counts.values()), sum(n for _, n in counts.values())


def compared(
    before: Counts, after: Counts, rho_day: float, rho_hour: float
) -> tuple[tuple[float, float], tuple[float, float], float] | None:
    """Counts before and since, and by how much their difference varies more than that of independent trials."""
    days = {hour // 24 for hour, (_, n) in after.items() if n > 0}
    found = []
    for held in (before, {hour: counts for hour, counts in before.items() if hour // 24 in days}):
        (f0, n0), (f1, n1) = total(held), total(after)
        if n0 > 0 and n1 > 0:
            more = 0.0
            for length, rho in ((24, rho_day), (6, rho_hour), (1, rho_hour)):
                apart: dict[int, float] = {}
                for hour, (_, n) in held.items():
                    apart[hour // length] = apart.get(hour // length, 0.0) - n / n0
                for hour, (_, n) in after.items():
                    apart[hour // length] = apart.get(hour // length, 0.0) + n / n1
                more += rho * sum(share * share for share in apart.values())
            variance = 1 / n0 + 1 / n1
            found.append((variance + more, (f0, n0), (f1, n1), 1 + more / variance))
    return min(found, key=lambda one: one[0])[1:] if found else None


def by_chance(f0: float, n0: float, f1: float, n1: float) -> float:
    """P(theta_1 <= theta_0), theta_1 ~ Beta(f1, n1 - f1 + 1), theta_0 ~ Beta(f0 + 1, n0 - f0), summed in log odds."""
    if f1 <= 0 or f0 >= n0:
        return 1.0
    betas = ((f1, n1 - f1 + 1), (f0 + 1, n0 - f0))
    middles = [math.log(a / b) for a, b in betas]
    spreads = [math.sqrt(1 / a + 1 / b) for a, b in betas]
    low = min(middle - 14 * spread for middle, spread in zip(middles, spreads, strict=True)) - 20
    high = max(middle + 14 * spread for middle, spread in zip(middles, spreads, strict=True))
    step = min(spreads) / 60
    t = np.arange(low, high, step)
    first, second = (step * density(t, *beta) for beta in betas)
    below = np.cumsum(first) - first / 2
    return min(float(np.sum(second * below)), 1.0)


def density(t: NDArray[np.float64], a: float, b: float) -> NDArray[np.float64]:
    """Of Beta(a, b) at these log odds."""
    norm = math.lgamma(a + b) - math.lgamma(a) - math.lgamma(b)
    of_failing, of_success = np.logaddexp(0, -t), np.logaddexp(0, t)
    found: NDArray[np.float64] = np.exp(norm - a * of_failing - b * of_success)
    return found
