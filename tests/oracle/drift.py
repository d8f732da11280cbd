"""The detector of success rates as its documentation has it: one watch and one minute at a time, in plain Python.

What is written in words in `models/stats/shiryaev_roberts.py`, `models/stats/dispersion.py`,
`models/drift/success_rate/delay_odds.py`, `models/stats/change_point.py` and docs/reference.md, section 3; slow, and
without any of their code.
"""

from __future__ import annotations

import math
import zlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

from oracle.bursts import Less, ReferenceBursts
from oracle.expected import DAY, HOUR, Calls, Delays, odds
from oracle.known import ReferenceKnown
from oracle.variation import Everyone, Variation, grained
from oracle.weights import Agreement, Weights

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from models.drift.settings import DriftSettings

Group = tuple[str, str | None, str | None]
MINUTE_US = 60_000_000
WEEK = 7 * DAY
AGAINST_BASELINE, AGAINST_DAY = (1.1, 1.25, 1.6, 2.2), (1.4, 1.9, 3.0, 6.0)
RATIOS = (*AGAINST_BASELINE, *AGAINST_DAY)
MOST_INHERITED = 300.0
MOST_R = 1e15
SEARCH_HOURS, FINE_HOURS = 28 * 24, 6


@dataclass
class Facts:
    """What happened to a group in a minute: calls accepted, and of each trial whether it succeeded and its delay.

    `of_units`: of the trials whose calls share a unit, which, and whether it succeeded. `said`: of those whose source
    is known, which, and whether it succeeded.
    """

    calls: int = 0
    trials: list[tuple[bool, int]] = field(default_factory=list)
    of_units: list[tuple[int, bool]] = field(default_factory=list)
    said: list[tuple[str, bool]] = field(default_factory=list)


class Found(NamedTuple):
    """An alarm at the end of `minute`; `before` and `since` the change are (failures, trials)."""

    minute: int
    group: Group
    worse: bool
    mean_r: float
    changed: int
    before: tuple[float, float]
    since: tuple[float, float]
    margin: float
    inherited: bool


@dataclass
class Watch:
    """A group or a roll-up."""

    group: Group
    above: Watch | None
    began: int
    """First minute of its task type."""
    delays: Delays
    variation: Variation
    weights: Weights
    calls: Calls = field(default_factory=Calls)
    failures: float = 0.0
    trials: float = 0.0
    at_midnight: tuple[float, float] = (0.0, 0.0)
    """Failures and trials at the beginning of the day."""
    since: int | None = None
    """Minute at which the baseline starts."""
    baseline_began: int | None = None
    """As `since`; 0 where the baseline was inherited, which is old."""
    inherited: bool = False
    last: int | None = None
    history: list[tuple[int, float, float]] = field(default_factory=list)
    """(minute, failures, trials) of every batch."""
    r: list[list[float]] = field(default_factory=lambda: [[0.0] * 8, [0.0] * 8])
    """Of a drop, of a rise; per odds ratio."""
    today: list[list[float]] = field(default_factory=lambda: [[0.0] * 4, [0.0] * 4])

    passed: list[bool] = field(default_factory=lambda: [False, False])
    """Whether the mean of a drop, of a rise, has passed the threshold of routing and not been low since."""

    def means(self) -> tuple[float, float]:
        """Mean of R for a drop, for a rise."""
        return sum(self.r[0]) / 8, sum(self.r[1]) / 8


class ReferenceDrift:
    """Takes minutes in order, each with what happened in which group."""

    def __init__(self, settings: DriftSettings, threshold: float | None = None) -> None:
        """`threshold`: A of each direction, where it is not that of verdicts."""
        self._settings, self._threshold = settings, settings.threshold if threshold is None else threshold
        self.restarts: list[tuple[int, Group, bool, int]] = []
        """Minute, arm, whether it got worse, minute of the change."""
        self._everyone = Everyone()
        self._day: int | None = None
        self.watches: dict[Group, Watch] = {}
        self._units: dict[Group, Delays] = {}
        self._agreements: dict[str, Agreement] = {}
        self.known = ReferenceKnown(settings)
        self.bursts = ReferenceBursts()
        self.rhos: dict[str, float] = {}
        """Agreement within units by task type, as the day began."""
        self.likely: dict[str, float] = {}
        """The same, as intervals have it."""

    def design_effects(self) -> dict[Group, float]:
        """Of every watch."""
        return {
            group: watch.weights.design_effect(self.likely.get(group[0], 1.0)) for group, watch in self.watches.items()
        }

    def minute(self, minute: int, facts: Mapping[tuple[str, str, str], Facts]) -> list[Found]:
        """Alarms at the end of this minute."""
        new = [leaf for leaf in sorted(facts) if leaf not in self.watches]
        for leaf in sorted(facts):
            self._watch(leaf, minute)
        if facts and minute // DAY != self._day:
            self._begin_day(minute // DAY)
        began = [self.watches[leaf] for leaf in new]
        self.known.arms(minute, [one for one in began if minute >= one.began + self._wait(one)], self.watches)
        sums: dict[Group, Facts] = {}
        for (task, model, config), happened in facts.items():
            for wide in ((task, None, None), (task, model, None), (task, model, config)):
                both = sums.setdefault(wide, Facts())
                both.calls += happened.calls
                both.trials += happened.trials
                both.of_units += happened.of_units
        found, in_bursts = [], self.bursts.minute(facts)
        for group, happened in sums.items():
            watch = self.watches[group]
            watch.calls.add(minute, happened.calls)
            rho = self.rhos.get(group[0], 1.0)
            less = watch.weights.take(minute, len(happened.trials), happened.of_units, rho)
            one = in_bursts.get(group, Less())
            watch.weights.exceeding += one.excess
            less = less[0] + one.failures, less[1] + one.successes
            if happened.trials and self._warm(watch, minute):
                failed = sum(not success for success, _ in happened.trials)
                alarm = self._batch(watch, minute, failed, len(happened.trials), less)
                found += [] if alarm is None else [alarm]
        self.known.minute(minute, self.watches, [self.watches[group] for group in sums])
        for (task, model, _), happened in facts.items():
            for unit in ((task, None, None), (task, model, None)):
                for success, delay in happened.trials:
                    self._units[unit].add(minute, delay, success=success)
        return found

    def _watch(self, group: tuple[str, str, str], minute: int) -> None:
        task, model, config = group
        wait = -(-self._settings.warmup_of(task) // MINUTE_US)
        above: Watch | None = None
        levels: tuple[Group, ...] = ((task, None, None), (task, model, None), (task, model, config))
        for one in levels:
            if one not in self.watches:
                if one[2] is None:
                    self._units[one] = Delays(None if above is None else above.delays, wait)
                unit = self._units[task, None if one[1] is None else model, None]
                opens = zlib.crc32("\x1f".join(part or "" for part in one).encode()) % 4
                variation = Variation(self._everyone.rho_hour, self._everyone.rho_day, opens=opens)
                weights = Weights(self._agreements.setdefault(task, Agreement()), one[2] is not None)
                began = minute if above is None else above.began
                self.watches[one] = Watch(one, above, began, unit, variation, weights)
            above = self.watches[one]

    def _begin_day(self, day: int) -> None:
        gap = 0 if self._day is None else day - self._day
        for watch in self.watches.values():
            watch.at_midnight = watch.failures, watch.trials
        if self._day is not None:
            for watch in self.watches.values():
                watch.variation.end_day((watch.failures + 0.5) / (watch.trials + 1))
            watches = list(self.watches.values())
            self._everyone.correlate([one.variation for one in watches], [one.group[2] is not None for one in watches])
            for unit in self._units.values():
                unit.begin_day(day, gap)
            self.bursts.begin_day(gap)
            for agreement in self._agreements.values():
                agreement.forget(gap)
            for watch in self.watches.values():
                watch.weights.begin_day(day, gap)
            self.rhos = {task: agreement.rho() for task, agreement in self._agreements.items()}
            self.likely = {task: agreement.rho(deviations=1.0) for task, agreement in self._agreements.items()}
        self._day = day
        self.known.begin_day(day, self.watches.values())

    def _wait(self, watch: Watch) -> int:
        return -(-self._settings.warmup_of(watch.group[0]) // MINUTE_US)

    def _warm(self, watch: Watch, minute: int) -> bool:
        wait = self._wait(watch)
        return minute >= watch.began + wait and (wait <= 60 or watch.delays.known())

    def _inherit(self, watch: Watch) -> None:
        above = watch.above
        while above is not None and above.at_midnight[1] < self._settings.min_trials:
            above = above.above
        if above is None:
            return
        f, n = above.at_midnight
        weight = min(1.0, MOST_INHERITED / n)
        watch.failures, watch.trials = grained(weight * f), grained(weight * n)
        watch.inherited, watch.baseline_began = True, 0

    def _batch(self, watch: Watch, minute: int, failed: int, arrived: int, less: tuple[float, float]) -> Found | None:
        c = odds(watch.calls, minute, watch.delays.shares(), arrived) if watch.delays.known() else 1.0
        failures, trials = failed - less[0], arrived - sum(less)
        learned = grained(failures / c)
        both = trials - failures + learned
        if both <= 0:
            return None  # what its units had shown before
        if watch.since is None:
            watch.since = watch.baseline_began = minute
            self._inherit(watch)
        assert watch.baseline_began is not None
        assert watch.since is not None
        days = max(minute - watch.since, DAY) / DAY
        margin = self._settings.margin if watch.trials > self._settings.margin_above_per_day * days else 0.0
        if minute - watch.baseline_began < DAY:
            margin = max(margin, 0.04)
        if watch.trials >= self._settings.min_trials:
            self._update(watch, minute, (failures, trials), (learned, both), c, margin)
        else:
            watch.r = [[0.0] * 8, [0.0] * 8]
        watch.last = minute
        watch.failures += learned
        watch.trials += both
        watch.history.append((minute, learned, both))
        means = watch.means()
        self._restart(watch, minute, means)
        if max(means) < self._threshold:
            watch.variation.add(minute // HOUR, learned, both)
            return None
        worse = means[0] >= means[1]
        changed, f, n = self.changed(watch, minute, worse=worse)
        before = watch.failures - f, watch.trials - n
        found = Found(minute, watch.group, worse, max(means), changed, before, (f, n), margin, watch.inherited)
        watch.failures, watch.trials, watch.inherited = f, n, False
        watch.since = watch.baseline_began = changed
        watch.r, watch.today = [[0.0] * 8, [0.0] * 8], [[0.0] * 4, [0.0] * 4]
        watch.passed = [False, False]
        watch.variation.forget_change()
        return found

    def _restart(self, watch: Watch, minute: int, means: tuple[float, float]) -> None:
        """Routing's own threshold A, for which R less the time is as it is for pages: once until R is under A / 10."""
        per_week = self._settings.restarts_per_arm_per_week
        if per_week == 0 or watch.group[2] is None or watch.group[0] in self._settings.unpromised_tasks:
            return
        threshold = 2 / (0.9 * per_week)
        passes = [mean >= threshold and not above for mean, above in zip(means, watch.passed, strict=True)]
        watch.passed = [
            mean >= threshold or (above and mean >= threshold / 10)
            for mean, above in zip(means, watch.passed, strict=True)
        ]
        if any(passes):
            worse = means[0] >= means[1]
            self.restarts.append((minute, watch.group, worse, self.changed(watch, minute, worse=worse)[0]))

    @staticmethod
    def _update(
        watch: Watch, minute: int, batch: tuple[float, float], learned: tuple[float, float], c: float, margin: float
    ) -> None:
        """R_j = (R_j + weeks) times the likelihood ratio of the batch, for both directions."""
        failures, trials = batch
        f, n = learned
        around, hour = watch.variation, minute // HOUR
        assert watch.baseline_began is not None
        rho_h = around.rho_hour
        # The mean of a baseline's days varies as well.
        of_mean = 1 + 1 / max((minute - watch.baseline_began) / DAY, 1)
        rho_d, rho_own = around.rho_day * of_mean, around.rho_own(hour) * of_mean
        f_hour, n_hour = around.of_hour(hour)
        f_quarter, n_quarter = around.of_quarter(hour)
        f_day, n_day = around.of_day(hour)
        q0 = (0.5 + watch.failures + f / 2) / (1 + watch.trials + n / 2)

        def nested(e: float, m: float) -> tuple[tuple[float, float], ...]:
            """Of the day, the quarter and the hour, of which e events in m trials are known."""
            of_hour = 1 / (1 + rho_h * m)
            e_quarter, m_quarter = f_quarter + of_hour * e, n_quarter + of_hour * m
            of_quarter = 1 / (1 + rho_h * m_quarter)
            return (f_day + of_quarter * e_quarter, n_day + of_quarter * m_quarter), (e_quarter, m_quarter), (e, m)

        # The middle of the batch is part of its hour, and the hour, as it counts, of its quarter and day.
        (e_day, m_day), *closer = nested(f_hour + f / 2, n_hour + n / 2)
        rates = [q0, (q0 + rho_d * e_day) / (1 + rho_d * m_day)]
        for e, m in closer:
            rates = [(q + rho_h * e) / (1 + rho_h * m) for q in rates]
        failing = [q * c / (q * c + 1 - q) for q in rates]
        of_own_day = around.of_own_day(hour) - n_day
        before, after = (
            1 / (1 + rho_own * (of_own_day + nested(0.0, seen)[0][1])) for seen in (n_hour, n_hour + n)
        )  # shares of the own day's evidence
        weeks = 0.0 if watch.last is None else (minute - watch.last) / WEEK
        days_begun = 1 if watch.last is None else around.own_day(hour) - around.own_day(watch.last // HOUR)
        if days_begun:
            watch.today = [[0.0] * 4, [0.0] * 4]
        for direction in (0, 1):
            events = failures if direction == 0 else trials - failures
            for j, ratio in enumerate(RATIOS):
                q = failing[j // 4] if direction == 0 else 1 - failing[j // 4]
                gain = events * math.log(ratio) - trials * math.log1p((ratio - 1) * min(q + margin, 1.0))
                if j < len(AGAINST_BASELINE):
                    then = watch.today[direction][j]
                    watch.today[direction][j] = now = then + gain
                    gain = after * now - before * then
                given = days_begun / 7 if j < len(AGAINST_BASELINE) else weeks
                r = (watch.r[direction][j] + given) * math.exp(min(gain, 600.0))
                watch.r[direction][j] = min(r, MOST_R)

    @staticmethod
    def changed(watch: Watch, now: int, *, worse: bool) -> tuple[int, float, float]:
        """The likeliest minute of the change, and failures and trials since it; hours that are not recent are whole."""
        assert watch.since is not None
        by_moment: dict[int, list[float]] = {}
        for minute, f, n in watch.history:
            hour = minute // HOUR
            moment = hour * HOUR if hour < now // HOUR - FINE_HOURS else minute
            if hour > now // HOUR - SEARCH_HOURS and moment >= watch.since:
                counts = by_moment.setdefault(moment, [0.0, 0.0])
                counts[0] += f
                counts[1] += n
        best: tuple[float, int, float, float] | None = None
        f1 = n1 = 0.0
        for moment in sorted(by_moment, reverse=True):
            f1, n1 = f1 + by_moment[moment][0], n1 + by_moment[moment][1]
            f0, n0 = watch.failures - f1, watch.trials - n1
            if n0 > 0 and n1 > 0 and (f1 * n0 > f0 * n1 if worse else f1 * n0 < f0 * n1):
                score = likelihood(f0, n0) + likelihood(f1, n1)
                if best is None or score >= best[0]:
                    best = score, moment, f1, n1
        if best is None:
            _, f, n = watch.history[-1]
            return now, f, n
        return best[1:]


def likelihood(failures: float, trials: float) -> float:
    """Greatest binomial log-likelihood."""
    parts: Sequence[float] = (failures, trials - failures)
    return sum(count * math.log(count / trials) for count in parts if count > 0)
