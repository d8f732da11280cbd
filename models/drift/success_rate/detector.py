"""CT-SR over the closed minutes of every watched group: alarms on success rates, and what changed when."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from aftercall.records import Digest, Direction
from aftercall.times import MINUTE_US, MINUTES_PER_DAY, MINUTES_PER_HOUR, MINUTES_PER_WEEK
from models.alarms.alarm import Alarm, Series
from models.alarms.open_alarms import OpenAlarms
from models.arrays import F64, I64, Bools
from models.drift.settings import DriftSettings
from models.drift.success_rate.alarm import rate_alarm
from models.drift.success_rate.call_counts import calls_of
from models.drift.success_rate.daily_trials import Rows, around, per_watch, within_days
from models.drift.success_rate.delay_odds import BRIEF, DelayOdds
from models.drift.success_rate.digest import digest, week_of
from models.drift.success_rate.known_moment.known_moments import KnownMoments
from models.drift.success_rate.own_days import opens_of, with_own_days
from models.drift.success_rate.series import NONE, SeriesIndex
from models.drift.success_rate.suspicions import Lookout, Suspicions
from models.drift.success_rate.units import UnitWeights, of_minutes
from models.drift.success_rate.weekly import of_week
from models.drift.trial_history import TrialHistory, change_in
from models.messages import AnyGroup, Closed, Group, TrialDelays, TrialDeltas, UnitTrials
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

_KIND = "drift"
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


class SuccessRateDetector:
    """Watches (task, model, config), (task, model) and (task); a roll-up's trials are the sums of its groups' trials.

    Per watch: about 540 bytes, 16 more per hour with trials of the last 28 days, and the open alert. What comes out
    does not depend on how minutes are cut into calls of `close`. `units`: what trials share.
    """

    def __init__(self, settings: DriftSettings, state: dict[str, Any] | None = None) -> None:
        """Start fresh, or from the `state()` of another instance."""
        self._settings = settings
        self._statistics = ShiryaevRoberts(min_trials=settings.min_trials)
        self._watches = SeriesIndex()
        self._odds = DelayOdds()
        self.units = UnitWeights()
        self._day = _NOT_YET
        self._warmup: I64 = np.zeros(0, np.int64)
        # Minute at which the baseline starts, and whether it is that of the parent.
        self._since: I64 = np.zeros(0, np.int64)
        self._inherited: Bools = np.zeros(0, np.bool_)
        # Baselines at the beginning of the day: what those inherit that begin within it.
        self._heirloom: F64 = np.zeros((2, 0))
        # First minute of the ISO week, and the baselines with which it began.
        self._week = _NOT_YET
        self._week_baseline: F64 = np.zeros((2, 0))
        self._digests: list[Digest] = []
        self._history = TrialHistory()
        self._open = OpenAlarms(settings.new_normal_after_us)
        self._lookout = Lookout(settings)
        self._known = KnownMoments(settings, self._watches)
        if state is not None:
            self._restore(state)

    def close(self, closed: Closed, alarms: Sequence[Alarm] = ()) -> list[Alarm]:
        """See `Detector`: calls and trials, and how long the trials took. Alarms of one series are in order of time."""
        raised, trials, delays = list(alarms), closed.trials, closed.delays
        levels = self._levels(closed.names, trials)
        self._known.deployed(closed.marks)
        hour = closed.through // MINUTES_PER_HOUR * MINUTES_PER_HOUR
        for of_day in within_days(trials.minute, hour):
            if of_day[0] >= hour:
                self._suspect(hour)
            self._begin_day(of_day[0] // MINUTES_PER_DAY)
            span = slice(*np.searchsorted(trials.minute, of_day).tolist())
            of_units = of_minutes(closed.units, *of_day)
            rows = self._watched(levels, TrialDeltas(*(column[span] for column in trials)), of_units)
            if len(rows.minute):
                if self._statistics.dispersion is not None:
                    raised += self._known.look(rows, self._history, self._statistics.dispersion)
                self._test(rows, raised)
                self._history.add(rows.watch, rows.minute, rows.learned * GRAIN, rows.learned_trials * GRAIN)
            span = slice(*np.searchsorted(delays.minute, of_day).tolist())
            self._learn_delays(levels, delays, span)
        self._suspect(hour)
        self._open.expire(closed.through * MINUTE_US)
        return raised

    def digests(self) -> list[Digest]:
        """Digests of the weeks that have ended since this was last asked."""
        ended, self._digests = self._digests, []
        return ended

    def suspicions(self) -> Suspicions | None:
        """Those at the end of the last whole hour; None where none has ended since this was last asked."""
        return self._lookout.take()

    def design_effects(self) -> list[tuple[AnyGroup, float]]:
        """See `Drift.design_effects`."""
        effects = self.units.design_effects(self._watches.parent)
        return [(self._watches.groups[watch], effect) for watch, effect in effects]

    def state(self) -> dict[str, Any]:
        """Plain values and arrays; not a copy."""
        return {
            "watches": self._watches.state(),
            "odds": self._odds.state(),
            "units": self.units.state(),
            "day": self._day,
            "warmup": self._warmup,
            "week": self._week,
            "week_baseline": self._week_baseline,
            "inherited": self._inherited,
            "heirloom": self._heirloom,
            **self._statistics.state(),
            "since": self._since,
            "history": self._history.state(),
            "book": self._open.state(),
            "looked": self._lookout.hour,
            "known": self._known.state(),
        }

    def _restore(self, state: dict[str, Any]) -> None:
        state = with_own_days(state)
        self._statistics = ShiryaevRoberts.from_state(state, min_trials=self._settings.min_trials)
        self._watches, self._odds = SeriesIndex(state["watches"]), DelayOdds(state["odds"])
        self.units = UnitWeights(state["units"], self._watches.parent)
        self._day, self._warmup, self._since = state["day"], state["warmup"], state["since"]
        self._inherited, self._heirloom = state["inherited"], state["heirloom"]
        self._week, self._week_baseline = state["week"], state["week_baseline"]
        self._history = TrialHistory(state["history"])
        self._open = OpenAlarms(self._settings.new_normal_after_us, state["book"])
        self._lookout = Lookout(self._settings, state.get("looked", _NOT_YET))
        self._known = KnownMoments(self._settings, self._watches, state.get("known"))

    # From groups to watches

    def _levels(self, names: list[Group], trials: TrialDeltas) -> I64:
        """Watches of all names, and room for those that are new."""
        levels = self._watches.levels(names, trials.code, trials.minute)
        groups, more = self._watches.groups, len(self._watches) - len(self._since)
        if more:
            warmup = [-(-self._settings.warmup_of(group[0]) // MINUTE_US) for group in groups[-more:]]
            self._warmup = np.concatenate((self._warmup, np.array(warmup, np.int64)))
            self._since = np.concatenate((self._since, np.full(more, _NOT_YET, np.int64)))
            self._inherited = np.concatenate((self._inherited, np.zeros(more, np.bool_)))
            self._heirloom = np.concatenate((self._heirloom, np.zeros((2, more))), axis=1)
            self._statistics.grow(len(groups), np.array([opens_of(group) for group in groups[-more:]]))
            self._odds.grow(groups, self._watches.parent, self._warmup)
        self._known.appear(levels, trials, len(groups) - more, self._warmup)
        return levels

    def _begin_day(self, day: int) -> None:
        if day <= self._day:
            return
        self._day = day
        week = week_of(day * MINUTES_PER_DAY)[0]
        if self._week != week:
            if self._week != _NOT_YET:
                self._digests.append(self._digest())
            self._week = week
            self._week_baseline = np.stack((self._statistics.failures, self._statistics.trials))
        self._statistics.begin_day(day, self._watches.is_config())
        self._odds.delays.begin_day(day)
        self.units.begin_day(day, self._watches.groups, self._watches.parent)
        self._heirloom = np.stack((self._statistics.failures, self._statistics.trials))
        self._known.begin_day(day, self._since)

    def _digest(self) -> Digest:
        """Of the week that has ended; what began within it had no baseline to be held against."""
        found = of_week(self._week, self._week_baseline, self._statistics, self._history, self._watches.groups)
        return digest(self._week + MINUTES_PER_WEEK, found)

    def _watched(self, levels: I64, trials: TrialDeltas, units: UnitTrials) -> Rows:
        """Trials of one UTC day, where their watch is tested."""
        calls = calls_of(levels, trials)
        key, failed, tried = per_watch(levels, trials)
        watch, minute = key >> 32, key & 0xFFFFFFFF
        odds = self._odds.at(calls, watch, minute, tried)
        failed, tried = self.units.weighed(key, failed, tried, levels, units, self._watches.parent)
        learned = learned_failures(failed, odds)
        rows = Rows(watch, minute, failed, tried, odds, learned, tried - failed + learned)
        warmup = self._warmup[watch]
        warm = minute >= self._watches.began[watch] + warmup
        return rows.part(warm & (rows.learned_trials > 0) & ((warmup <= BRIEF) | self._odds.known(watch)))

    def _learn_delays(self, levels: I64, delays: TrialDelays, span: slice) -> None:
        minute, success, count = (
            column[span].astype(np.int64) for column in (delays.minute, delays.success, delays.count)
        )
        for level in levels[1:]:
            self._odds.learn(level[delays.code[span]], minute, success, delays.bucket[span], count)

    def _suspect(self, hour: int) -> None:
        alarms = self._open, self._known.open
        self._lookout.look(hour, self._statistics, self._history, self._watches.groups, self._since, alarms)

    # The test

    def _test(self, rows: Rows, raised: list[Alarm]) -> None:
        """Trials of one UTC day."""
        starts = np.flatnonzero(np.diff(rows.watch, prepend=_NOT_YET))
        watches = rows.watch[starts]
        ends = np.append(starts[1:], len(rows.watch))
        fresh = self._since[watches] < 0
        self._since[watches[fresh]] = self._statistics.began[watches[fresh]] = rows.minute[starts[fresh]]
        self._inherit(watches[fresh])
        before = self._before(rows, starts, ends)
        self._rounds(rows, before, starts, ends, raised)
        s, last = self._statistics, ends - 1
        s.failures[watches] = before.failures[last] + rows.learned[last]
        s.trials[watches] = before.trials[last] + rows.learned_trials[last]
        s.last[watches] = rows.minute[last]
        self._count(rows.part(before.counted))

    def _inherit(self, watches: I64) -> None:
        """Give new watches the baseline that the nearest roll-up had at the beginning of the day."""
        trials = self._heirloom[1]
        for watch in watches.tolist():
            above = int(self._watches.parent[watch])
            while above != NONE and trials[above] < self._settings.min_trials:
                above = int(self._watches.parent[above])
            if above != NONE:
                weight = min(1.0, _INHERITED / trials[above])
                kept = np.rint(weight * self._heirloom[:, above] * GRAIN) / GRAIN
                self._statistics.failures[watch], self._statistics.trials[watch] = kept
                self._inherited[watch] = True
                self._statistics.began[watch] = 0

    def _before(self, rows: Rows, starts: I64, ends: I64) -> _Baseline:
        s, watches, sizes = self._statistics, rows.watch[starts], ends - starts

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
        dispersion = self._statistics.dispersion
        days = self._statistics.days(rows.watch, rows.minute)
        surrounding = None if dispersion is None else around(dispersion, rows, changed=changed).against(days)
        active = self._statistics.tested(trials)
        margin = self._margin(rows, trials)
        batch = TrialBatch(rows.failures, rows.trials, failures, trials, surrounding, rows.odds, margin, active)
        return log_likelihood_increments(batch)

    def _margin(self, rows: Rows, trials: F64) -> F64:
        """Per row, from what was learned before it."""
        of_traffic = self._settings.margin_of(trials, (rows.minute - self._since[rows.watch]) / MINUTES_PER_DAY)
        return np.maximum(of_traffic, self._statistics.margin_of_age(rows.watch, rows.minute))

    def _rounds(self, rows: Rows, before: _Baseline, starts: I64, ends: I64, raised: list[Alarm]) -> None:
        """Round k takes the k-th row of every watch at once; only the recursion over R has to go in order of time.

        The evidence of all rows is computed before, from sums of counts. Where a series raises an alarm, that of its
        later rows is computed again.
        """
        sizes = ends - starts
        busiest_first = np.argsort(-sizes, kind="stable")
        starts, ends, sizes = starts[busiest_first], ends[busiest_first], sizes[busiest_first]
        watches = rows.watch[starts]
        r, today = self._statistics.r[watches], self._statistics.today[watches]
        threshold = self._settings.threshold
        for turn in range(int(sizes[0])):
            width = int(np.searchsorted(-sizes, -turn))
            at = starts[:width] + turn
            increments = LogLikelihoodIncrements(*(column[at] for column in before.increments))
            weeks = Elapsed(*(column[at] for column in before.weeks))
            mean = advance(r[:width], today[:width], weeks, increments)
            if mean.max() < threshold:
                continue
            for place in np.flatnonzero((mean >= threshold).any(axis=1)).tolist():
                span = slice(int(starts[place]), int(ends[place]))
                self._alarm(rows, before, span, int(at[place]), mean[place], raised)
                r[place] = today[place] = 0.0
        self._statistics.r[watches], self._statistics.today[watches] = r, today

    def _count(self, rows: Rows) -> None:
        """Let the dispersion see the day's trials, hour by hour."""
        dispersion = self._statistics.dispersion
        if dispersion is None or not len(rows.watch):
            return
        hour = rows.minute // MINUTES_PER_HOUR
        starts = np.flatnonzero(np.diff((rows.watch << 32) | hour, prepend=_NOT_YET))
        watch, hour = rows.watch[starts], hour[starts]
        failures, trials = (np.add.reduceat(column, starts) for column in (rows.learned, rows.learned_trials))
        for one in np.unique(hour).tolist():
            now = hour == one
            dispersion.add(watch[now], hour[now] * MINUTES_PER_HOUR, failures[now], trials[now])

    # An alarm

    def _alarm(self, rows: Rows, before: _Baseline, span: slice, at: int, mean: F64, raised: list[Alarm]) -> None:
        """The row `at`, among those of its watch in `span`, raises an alarm; the baseline restarts at the change."""
        watch, minute = int(rows.watch[at]), int(rows.minute[at])
        worse = bool(mean[DOWN] >= mean[UP])
        failures = float(before.failures[at] + rows.learned[at])
        trials = float(before.trials[at] + rows.learned_trials[at])
        since_failures, since_trials, changed = self._change(rows, span.start, at, failures, trials, worse=worse)
        ending = (minute + 1) * MINUTE_US
        series: Series = (_KIND, self._watches.groups[watch], METRIC)
        self._open.expire(ending, series)
        direction: Direction = "down" if worse else "up"
        origin = self._open.origin(series, direction)
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
            evidence={
                "mean_r": float(mean[DOWN if worse else UP]),
                "margin": float(self._margin(rows.part(slice(at, at + 1)), before.trials[at : at + 1])[0]),
            },
        )
        raised.append(self._open.add(alarm, baseline))
        self._since[watch] = self._statistics.began[watch] = changed
        self._inherited[watch] = False
        before.counted[span.start : at + 1] = False
        if self._statistics.dispersion is not None:
            self._statistics.dispersion.forget_change(watch)
        self._relearn(rows, before, slice(at + 1, span.stop), since_failures, since_trials)

    def _change(
        self, rows: Rows, start: int, at: int, failures: float, trials: float, *, worse: bool
    ) -> tuple[float, float, int]:
        """Failures and trials since the estimated change, and its minute."""
        watch, now = int(rows.watch[at]), int(rows.minute[at])
        mine = slice(start, at + 1)
        stored, f, n = self._history.of(watch)
        minutes = np.concatenate((stored, rows.minute[mine]))
        f = np.concatenate((f / GRAIN, rows.learned[mine]))
        n = np.concatenate((n / GRAIN, rows.learned_trials[mine]))
        found = change_in(minutes, f, n, now, int(self._since[watch]), (failures, trials), worse=worse)
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
