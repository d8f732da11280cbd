"""CT-SR over the closed minutes of every watched group: on verdicts, what one source says, or checks of one rule."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from aftercall.records import Direction, Severity
from aftercall.times import MINUTE_US, MINUTES_PER_DAY, MINUTES_PER_HOUR
from aftercall.vocabulary import CONTRACT
from models.alarms.alarm import Alarm, Details, RuleChange, Series, SourceRateChange
from models.alarms.open_alarms import OpenAlarms
from models.arrays import F64, I64, Bools
from models.drift.settings import DriftSettings
from models.drift.success_rate.alarm import rate_alarm
from models.drift.success_rate.arm_restarts import ArmRestarts
from models.drift.success_rate.call_counts import calls_of
from models.drift.success_rate.daily_trials import Rows, around, per_watch
from models.drift.success_rate.delay_odds import BRIEF, DelayOdds
from models.drift.success_rate.own_days import opens_of, with_own_days
from models.drift.success_rate.series import NONE, SeriesIndex
from models.drift.success_rate.units import UnitWeights, belonging
from models.drift.trial_history import TrialHistory, change_in
from models.messages import Closed, Group, TrialDeltas
from models.stats.dispersion import GRAIN
from models.stats.shiryaev_roberts import (
    DOWN,
    UP,
    Elapsed,
    LogLikelihoodIncrements,
    ShiryaevRoberts,
    TrialBatch,
    advance,
    learned_failures,
    log_likelihood_increments,
)

KIND = "drift"
METRIC = "success_rate"

_INHERITED = 300.0
"""Trials that a new watch's baseline, that of its roll-up, weighs at most."""
_NOT_YET = -1


class _Baseline(NamedTuple):
    """What was learned before each row, and the evidence that the row adds.

    `counted`: rows after the last alarm of their watch in this day.
    """

    failures: F64
    trials: F64
    weeks: Elapsed
    increments: LogLikelihoodIncrements
    counted: Bools


class RateTest:
    """Watches (task, model, config), (task, model) and (task); a roll-up's trials are the sums of its groups' trials.

    Per watch: about 540 bytes, 16 more per hour with trials of the last 28 days, and the open alert. Its methods take
    what happened in one UTC day after the other; nothing depends on how minutes are cut.

    Attributes:
        watches: what is watched.
        statistics: of each watch.
        units: what trials share.
        history: trials of the last weeks.
        open: alarms that are open.
        since: minute at which each watch's baseline starts, -1 before it.
        day: UTC day that has begun, -1 before the first.
        warmup: of each watch, minutes.
        restarts: of arms, that routing acts on; only where trials are verdicts.
    """

    def __init__(
        self,
        settings: DriftSettings,
        state: dict[str, Any] | None = None,
        *,
        threshold: float | None = None,
        source: str | None = None,
        rule: tuple[str, Severity] | None = None,
    ) -> None:
        """Start fresh, or from the `state()` of another instance.

        Args:
            settings: warm-ups and the promise.
            state: of another instance.
            threshold: A of each direction, where it is not that of verdicts.
            source: whose opinions the trials are.
            rule: metric of the rule whose checks they are, and how severe its alerts are; then they are of the minutes
                of their calls, and a rise of the rate is an alarm only where it ends one.
        """
        self._settings, self._rule = settings, rule
        self._kind, self._metric, self._details = _named(source, rule)
        self._threshold = settings.threshold if threshold is None else threshold
        self.statistics = ShiryaevRoberts(min_trials=settings.min_trials)
        self.watches = SeriesIndex()
        self._odds = None if rule else DelayOdds()
        self.units = UnitWeights()
        self.day = _NOT_YET
        self.warmup: I64 = np.zeros(0, np.int64)
        # Minute at which the baseline starts, and whether it is that of the parent.
        self.since: I64 = np.zeros(0, np.int64)
        self._inherited: Bools = np.zeros(0, np.bool_)
        # Baselines at the beginning of the day: what those inherit that begin within it.
        self._heirloom: F64 = np.zeros((2, 0))
        self.history = TrialHistory()
        self.open = OpenAlarms(settings.new_normal_after_us)
        per_week = settings.restarts_per_arm_per_week if self._metric == METRIC else 0.0
        self.restarts = ArmRestarts(per_week, settings.unpromised_tasks, (state or {}).get("above"))
        if state is not None:
            self._restore(state)

    def state(self) -> dict[str, Any]:
        """Plain values and arrays; not a copy."""
        return {
            "watches": self.watches.state(),
            "odds": None if self._odds is None else self._odds.state(),
            "units": self.units.state(),
            "day": self.day,
            "warmup": self.warmup,
            "inherited": self._inherited,
            "heirloom": self._heirloom,
            **self.statistics.state(),
            "since": self.since,
            "history": self.history.state(),
            "book": self.open.state(),
            "above": self.restarts.above,
        }

    def _restore(self, state: dict[str, Any]) -> None:
        state = with_own_days(state)
        self.statistics = ShiryaevRoberts.from_state(state, min_trials=self._settings.min_trials)
        self.watches = SeriesIndex(state["watches"])
        self._odds = None if self._rule else DelayOdds(state["odds"])
        self.units = UnitWeights(state["units"], self.watches.parent)
        self.day, self.warmup, self.since = state["day"], state["warmup"], state["since"]
        self._inherited, self._heirloom = state["inherited"], state["heirloom"]
        self.history = TrialHistory(state["history"])
        self.open = OpenAlarms(self._settings.new_normal_after_us, state["book"])
        self.restarts.grow(self.watches.groups)

    # From groups to watches

    def levels(self, names: list[Group], trials: TrialDeltas) -> I64:
        """Watches of all names of a message, shape (levels, names), and room for those that are new."""
        levels = self.watches.levels(names, trials.code, trials.minute)
        groups, more = self.watches.groups, len(self.watches) - len(self.since)
        if more:
            warmup = [-(-self._settings.warmup_of(group[0]) // MINUTE_US) for group in groups[-more:]]
            self.warmup = np.concatenate((self.warmup, np.array(warmup, np.int64)))
            self.since = np.concatenate((self.since, np.full(more, _NOT_YET, np.int64)))
            self._inherited = np.concatenate((self._inherited, np.zeros(more, np.bool_)))
            self._heirloom = np.concatenate((self._heirloom, np.zeros((2, more))), axis=1)
            self.restarts.grow(groups)
            self.statistics.grow(len(groups), np.array([opens_of(group) for group in groups[-more:]]))
            if self._odds is not None:
                self._odds.grow(groups, self.watches.parent, self.warmup)
        return levels

    def begin_day(self, day: int) -> None:
        """From now on all trials are of this UTC day or later. O(watches)."""
        if day <= self.day:
            return
        self.day = day
        self.statistics.begin_day(day, self.watches.is_config())
        if self._odds is not None:
            self._odds.delays.begin_day(day)
        self.units.begin_day(day, self.watches.groups, self.watches.parent)
        self._heirloom = np.stack((self.statistics.failures, self.statistics.trials))

    def rows(self, levels: I64, closed: Closed, of_day: tuple[int, int]) -> Rows:
        """Trials of the minutes `of_day` (first, end), within the day that has begun, where their watch is tested."""
        span = slice(*np.searchsorted(closed.trials.minute, of_day).tolist())
        trials, together = TrialDeltas(*(column[span] for column in closed.trials)), belonging(closed, *of_day)
        key, failed, tried = per_watch(levels, trials)
        watch, minute = key >> 32, key & 0xFFFFFFFF
        odds = np.ones(len(watch))
        if self._odds is not None:
            odds = self._odds.at(calls_of(levels, trials), watch, minute, tried)
        failed, tried = self.units.weighed(key, failed, tried, levels, together, self.watches.parent)
        learned = learned_failures(failed, odds)
        rows = Rows(watch, minute, failed, tried, odds, learned, tried - failed + learned)
        warmup = self.warmup[watch]
        known = (warmup <= BRIEF) | (True if self._odds is None else self._odds.known(watch))
        return rows.part((minute >= self.watches.began[watch] + warmup) & (rows.learned_trials > 0) & known)

    def learn_delays(self, levels: I64, closed: Closed, of_day: tuple[int, int]) -> None:
        """How long the trials of these minutes took; after their `rows`."""
        delays, odds = closed.delays, self._odds
        if odds is None:
            return
        span = slice(*np.searchsorted(delays.minute, of_day).tolist())
        minute, success, count = (
            column[span].astype(np.int64) for column in (delays.minute, delays.success, delays.count)
        )
        for level in levels[1:]:
            odds.learn(level[delays.code[span]], minute, success, delays.bucket[span], count)

    # The test

    def test(self, rows: Rows) -> list[Alarm]:
        """Trials of one UTC day, some. Alarms of one series are in order of time."""
        raised: list[Alarm] = []
        self._test(rows, raised)
        self.history.add(rows.watch, rows.minute, rows.learned * GRAIN, rows.learned_trials * GRAIN)
        return raised

    def _test(self, rows: Rows, raised: list[Alarm]) -> None:
        starts = np.flatnonzero(np.diff(rows.watch, prepend=_NOT_YET))
        watches = rows.watch[starts]
        ends = np.append(starts[1:], len(rows.watch))
        fresh = self.since[watches] < 0
        self.since[watches[fresh]] = self.statistics.began[watches[fresh]] = rows.minute[starts[fresh]]
        self._inherit(watches[fresh])
        before = self._before(rows, starts, ends)
        self._rounds(rows, before, starts, ends, raised)
        s, last = self.statistics, ends - 1
        s.failures[watches] = before.failures[last] + rows.learned[last]
        s.trials[watches] = before.trials[last] + rows.learned_trials[last]
        s.last[watches] = rows.minute[last]
        self._count(rows.part(before.counted))

    def _inherit(self, watches: I64) -> None:
        """Give new watches the baseline that the nearest roll-up had at the beginning of the day."""
        trials = self._heirloom[1]
        for watch in watches.tolist():
            above = int(self.watches.parent[watch])
            while above != NONE and trials[above] < self._settings.min_trials:
                above = int(self.watches.parent[above])
            if above != NONE:
                weight = min(1.0, _INHERITED / trials[above])
                kept = np.rint(weight * self._heirloom[:, above] * GRAIN) / GRAIN
                self.statistics.failures[watch], self.statistics.trials[watch] = kept
                self._inherited[watch] = True
                self.statistics.began[watch] = 0

    def _before(self, rows: Rows, starts: I64, ends: I64) -> _Baseline:
        s, watches, sizes = self.statistics, rows.watch[starts], ends - starts

        def learned(column: F64, at_start: F64) -> F64:
            sums = np.cumsum(column) - column
            return sums + np.repeat(at_start[watches] - sums[starts], sizes)

        failures, trials = learned(rows.learned, s.failures), learned(rows.learned_trials, s.trials)
        last = np.concatenate(([_NOT_YET], rows.minute[:-1]))
        last[starts] = s.last[watches]
        weeks = Elapsed.between(last, rows.minute, None if s.dispersion is None else s.dispersion.opens(rows.watch))
        increments = self._evidence(rows, failures, trials)
        return _Baseline(failures, trials, weeks, increments, np.ones(len(failures), np.bool_))

    def _evidence(self, rows: Rows, failures: F64, trials: F64, *, changed: bool = False) -> LogLikelihoodIncrements:
        """`changed`: the rows follow an alarm, and what their day had shown before it is no evidence about them."""
        dispersion = self.statistics.dispersion
        days = self.statistics.days(rows.watch, rows.minute)
        surrounding = None if dispersion is None else around(dispersion, rows, changed=changed).against(days)
        active = self.statistics.tested(trials)
        margin = self._margin(rows, trials)
        batch = TrialBatch(rows.failures, rows.trials, failures, trials, surrounding, rows.odds, margin, active)
        return log_likelihood_increments(batch)

    def _margin(self, rows: Rows, trials: F64) -> F64:
        """Per row, from what was learned before it."""
        of_traffic = self._settings.margin_of(trials, (rows.minute - self.since[rows.watch]) / MINUTES_PER_DAY)
        return np.maximum(of_traffic, self.statistics.margin_of_age(rows.watch, rows.minute))

    def _rounds(self, rows: Rows, before: _Baseline, starts: I64, ends: I64, raised: list[Alarm]) -> None:
        """Round k takes the k-th row of every watch at once; only the recursion over R has to go in order of time.

        The evidence of all rows is computed before, from sums of counts. Where a series raises an alarm, that of its
        later rows is computed again.
        """
        sizes = ends - starts
        busiest_first = np.argsort(-sizes, kind="stable")
        starts, ends, sizes = starts[busiest_first], ends[busiest_first], sizes[busiest_first]
        watches = rows.watch[starts]
        r, today = self.statistics.r[watches], self.statistics.today[watches]
        threshold, passages = self._threshold, self.restarts.passages(watches)
        for turn in range(int(sizes[0])):
            width = int(np.searchsorted(-sizes, -turn))
            at = starts[:width] + turn
            increments = LogLikelihoodIncrements(*(column[at] for column in before.increments))
            weeks = Elapsed(*(column[at] for column in before.weeks))
            mean = advance(r[:width], today[:width], weeks, increments)
            most = float(mean.max())
            for place, worse in passages.of(mean, most):
                self._restart(rows, before, int(starts[place]), int(at[place]), worse=worse)
            if most < threshold:
                continue
            for place in np.flatnonzero((mean >= threshold).any(axis=1)).tolist():
                span = slice(int(starts[place]), int(ends[place]))
                self._alarm(rows, before, span, int(at[place]), mean[place], raised)
                r[place] = today[place] = 0.0
                passages.forget(place)
        self.restarts.keep(watches, passages)
        self.statistics.r[watches], self.statistics.today[watches] = r, today

    def _count(self, rows: Rows) -> None:
        """Let the dispersion see the day's trials, hour by hour."""
        dispersion = self.statistics.dispersion
        if dispersion is None or not len(rows.watch):
            return
        hour = rows.minute // MINUTES_PER_HOUR
        starts = np.flatnonzero(np.diff((rows.watch << 32) | hour, prepend=_NOT_YET))
        watch, hour = rows.watch[starts], hour[starts]
        failures, trials = (np.add.reduceat(column, starts) for column in (rows.learned, rows.learned_trials))
        for one in np.unique(hour).tolist():
            now = hour == one
            dispersion.add(watch[now], hour[now] * MINUTES_PER_HOUR, failures[now], trials[now])

    # A restart, an alarm

    def _restart(self, rows: Rows, before: _Baseline, start: int, at: int, *, worse: bool) -> None:
        """The row `at`, whose watch's rows begin at `start`, passes the threshold of routing; nothing else changes."""
        failures, trials = before.failures[at] + rows.learned[at], before.trials[at] + rows.learned_trials[at]
        changed = self._change(rows, start, at, float(failures), float(trials), worse=worse)[2]
        self.restarts.add(self.watches.groups[rows.watch[at]], int(rows.minute[at]), changed, worse=worse)

    def _alarm(self, rows: Rows, before: _Baseline, span: slice, at: int, mean: F64, raised: list[Alarm]) -> None:
        """The row `at`, among those of its watch in `span`, raises an alarm; the baseline restarts at the change."""
        watch, minute = int(rows.watch[at]), int(rows.minute[at])
        worse = bool(mean[DOWN] >= mean[UP])
        failures = float(before.failures[at] + rows.learned[at])
        trials = float(before.trials[at] + rows.learned_trials[at])
        since_failures, since_trials, changed = self._change(rows, span.start, at, failures, trials, worse=worse)
        ending = (minute + 1) * MINUTE_US
        series = self._series(watch)
        self.open.expire(ending, series)
        direction: Direction = "down" if worse else "up"
        origin = self.open.origin(series, direction)
        baseline = (failures - since_failures, trials - since_trials) if origin is None else (origin[0], origin[1])
        alarm = rate_alarm(
            self._settings,
            series,
            direction,
            ending,
            baseline,
            (since_failures, since_trials),
            changed,
            inherited=bool(self._inherited[watch]) and origin is None,
            threshold=self._threshold,
            evidence={
                "mean_r": float(mean[DOWN if worse else UP]),
                "margin": float(self._margin(rows.part(slice(at, at + 1)), before.trials[at : at + 1])[0]),
            },
        )
        if self._details is not None:
            alarm = alarm._replace(details=self._details)
        if worse or not self._rule or self.open.is_open(series):
            raised.append(self.open.add(alarm, baseline))
        self.since[watch] = self.statistics.began[watch] = changed
        self._inherited[watch] = False
        before.counted[span.start : at + 1] = False
        if self.statistics.dispersion is not None:
            self.statistics.dispersion.forget_change(watch)
        self._relearn(rows, before, slice(at + 1, span.stop), since_failures, since_trials)

    def _series(self, watch: int) -> Series:
        return self._kind, self.watches.groups[watch], self._metric

    def _change(
        self, rows: Rows, start: int, at: int, failures: float, trials: float, *, worse: bool
    ) -> tuple[float, float, int]:
        """Failures and trials since the estimated change, and its minute."""
        watch, now = int(rows.watch[at]), int(rows.minute[at])
        mine = slice(start, at + 1)
        stored, f, n = self.history.of(watch)
        minutes = np.concatenate((stored, rows.minute[mine]))
        f = np.concatenate((f / GRAIN, rows.learned[mine]))
        n = np.concatenate((n / GRAIN, rows.learned_trials[mine]))
        found = change_in(minutes, f, n, now, int(self.since[watch]), (failures, trials), worse=worse)
        # No split of the stored minutes fits: what was learned before this minute is the baseline.
        return found or (float(rows.learned[at]), float(rows.learned_trials[at]), now)

    def _relearn(self, rows: Rows, before: _Baseline, rest: slice, failures: float, trials: float) -> None:
        """Give the later rows of a watch their new baseline: the counts since the change."""
        if rest.start == rest.stop:
            # No later row of this day: the totals are read from the last row, so put them there.
            last = rest.start - 1
            before.failures[last] = failures - rows.learned[last]
            before.trials[last] = trials - rows.learned_trials[last]
            return
        later = rows.part(rest)
        before.failures[rest] = failures + np.cumsum(later.learned) - later.learned
        before.trials[rest] = trials + np.cumsum(later.learned_trials) - later.learned_trials
        increments = self._evidence(later, before.failures[rest], before.trials[rest], changed=True)
        for column, recomputed in zip(before.increments, increments, strict=True):
            column[rest] = recomputed


def _named(source: str | None, rule: tuple[str, Severity] | None) -> tuple[str, str, Details | None]:
    """Kind, metric and details of alarms; None: those of verdicts."""
    if rule is not None:
        return CONTRACT, rule[0], RuleChange(rule[1])
    return (KIND, METRIC, None) if source is None else (KIND, f"{METRIC}:{source}", SourceRateChange(source))
