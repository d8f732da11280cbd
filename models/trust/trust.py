"""Score the trust of every group and task type at the end of closed hours.

Checks of closed minutes are counted by the hour and lose weight as they age, so what comes out depends on neither how
minutes were cut into messages nor how long the pipeline was stopped. A row is issued at the end of an hour that had
checks of it, and at every midnight (UTC) while it has evidence, as that ages.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from typing import Any, ClassVar

import numpy as np

from aftercall.times import HOURS_PER_DAY, MINUTES_PER_HOUR
from aftercall.trust_record import TrustRecord
from models.arrays import F64, I64, Bools
from models.messages import AnyGroup, Closed
from models.state import Migrations
from models.stats.dispersion import GRAIN
from models.trust.calls import CallHistory
from models.trust.counts import AgedCounts, by_name, rows_by_name
from models.trust.delays import VerdictDelays
from models.trust.dispersion import DayDispersion
from models.trust.estimates import Estimates, estimates
from models.trust.evidence import Checks, Verdicts, checks_of, rows_counted, verdicts_of
from models.trust.issue import issued
from models.trust.moved import contributions
from models.trust.rules import RuleCounts
from models.trust.settings import TrustSettings

_NONE = -1


class Trust:
    """Turns closed minutes into scores; one object for all task types."""

    STATE_VERSION: ClassVar = 1
    MIGRATIONS: ClassVar[Migrations] = {}

    def __init__(self, settings: TrustSettings, state: dict[str, Any] | None = None) -> None:
        """Start empty, or from the `state()` of another instance; `settings` hold from here on."""
        of = dict.fromkeys(("counts", "calls", "rules", "dispersion", "delays")) if state is None else state
        self.settings = settings
        self._weights: F64 = np.array(settings.weights)
        self._counts, self._calls = AgedCounts(of["counts"]), CallHistory(of["calls"])
        self._rules, self._dispersion = RuleCounts(of["rules"]), DayDispersion(of["dispersion"])
        self._delays = VerdictDelays(settings.half_life_hours, of["delays"])
        self._rows: list[AnyGroup] = [] if state is None else [(row[0], row[1], row[2]) for row in state["rows"]]
        self._index = {row: at for at, row in enumerate(self._rows)}
        self._tasks: dict[str, int] = {} if state is None else {name: at for at, name in enumerate(state["tasks"])}
        self._task: I64 = np.array([self._tasks[row[0]] for row in self._rows], np.int64)
        self._pool: I64 = np.array([_pool(self._tasks, row) for row in self._rows], np.int64)
        self._ended: int = _NONE if state is None else state["ended"]
        """The last end of an hour that was looked at, hours since 1970."""
        self._open: int = _NONE if state is None else state["open"]
        self._day_ended: int = _NONE if state is None else state["day_ended"]
        self._alive: Bools = np.zeros(0, np.bool_) if state is None else state["alive"]
        """Which rows had evidence when they were last issued."""
        self._seq: I64 = np.zeros(0, np.int64) if state is None else state["seq"]
        # Another formula is another series: nothing of the one before is compared with it.
        same = state is not None and state["formula"] == settings.formula
        self._before: F64 = state["before"] if same and state is not None else np.full((len(self._rows), 8), np.nan)
        self._history: deque[tuple[int, I64, F64]] = deque(state["history"] if same and state is not None else ())

    def close(self, closed: Closed) -> list[TrustRecord]:
        """Take in the minutes that have closed, sorted as in `models.messages.Closed`.

        Returns:
            Records by (as_of, task type, model, config).
        """
        levels = self._levels(closed)
        checks, verdicts = list(checks_of(closed, self.settings.feedback)), verdicts_of(closed)
        found: list[TrustRecord] = []
        minutes = [*(part.minute for part in checks), verdicts.minute]
        for hour in np.unique(np.concatenate(minutes) // MINUTES_PER_HOUR).tolist():
            found += self._until(hour)
            self._begin(hour)
            self._count(hour, levels, closed, checks, verdicts)
        return found + list(self._until(closed.through // MINUTES_PER_HOUR))

    def _levels(self, closed: Closed) -> I64:
        """The rows of each code, -1 for none: shape (codes, 2)."""
        levels = np.full((len(closed.names), 2), _NONE, np.int64)
        for code, rows in enumerate(rows_counted(closed.names)):
            for level, row in enumerate(rows):
                levels[code, level] = self._row(row)
        self._make_room()
        return levels

    def _row(self, row: AnyGroup) -> int:
        at = self._index.get(row)
        if at is None:
            at = self._index[row] = len(self._rows)
            self._rows.append(row)
            if row[0] not in self._tasks:
                self._tasks[row[0]] = len(self._tasks)
        return at

    def _make_room(self) -> None:
        """For rows that are new."""
        for name in list(self._tasks)[len(self._delays) :]:
            hours = -(-self.settings.silence_us.get(name, 0) // (3600 * 10**6))
            self._delays.add_task(hours)
        new = self._rows[len(self._task) :]
        self._task = np.append(self._task, np.array([self._tasks[row[0]] for row in new], np.int64))
        self._pool = np.append(self._pool, np.array([_pool(self._tasks, row) for row in new], np.int64))
        self._before = np.concatenate((self._before, np.full((len(new), self._before.shape[1]), np.nan)))
        self._alive = np.append(self._alive, np.zeros(len(new), np.bool_))
        self._seq = np.append(self._seq, np.zeros(len(new), np.int64))
        self._counts.grow(len(self._rows))
        self._calls.grow(len(self._rows), self._delays.hours)
        self._dispersion.grow(2 * len(self._tasks), len(self._rows))

    def _begin(self, hour: int) -> None:
        """An hour with checks begins."""
        if self._ended == _NONE:
            self._ended, self._day_ended = hour, hour // HOURS_PER_DAY * HOURS_PER_DAY
            self._delays.begin_day(hour // HOURS_PER_DAY)
        if self._ended < hour:
            self._age(hour)
        self._open = hour

    def _count(self, hour: int, levels: I64, closed: Closed, checks: list[Checks], verdicts: Verdicts) -> None:
        """Count what an hour had."""
        for part in checks:
            cut = _within(hour, part.minute)
            for level in range(levels.shape[1]):
                row = levels[part.code[cut], level]
                kept = row != _NONE
                row, passed, checked = row[kept], part.passed[cut][kept], part.checked[cut][kept]
                self._counts.add(row, part.dimension, passed, checked)
                if part.rule:
                    self._rules.add(row, part.dimension, part.rule, passed, checked)
        self._count_calls(hour, levels, closed)
        self._count_delays(hour, levels, verdicts)

    def _count_calls(self, hour: int, levels: I64, closed: Closed) -> None:
        """Count calls, trials, and what these share."""
        trials, shared = closed.trials, closed.shared
        cut, pairs = _within(hour, trials.minute), _within(hour, shared.minute)
        judged = (trials.trial_successes[cut] + trials.trial_failures[cut]).astype(np.int64)
        for level in range(levels.shape[1]):
            row = levels[trials.code[cut], level]
            kept = row != _NONE
            self._calls.add(row[kept], trials.calls[cut][kept].astype(np.int64))
            self._counts.share(row[kept], 0 * judged[kept], judged[kept])
            row = levels[shared.code[pairs], level]
            kept = row != _NONE
            excess = shared.excess[pairs][kept]
            self._counts.share(row[kept], excess, 0 * excess)

    def _count_delays(self, hour: int, levels: I64, verdicts: Verdicts) -> None:
        cut = _within(hour, verdicts.minute)
        row = levels[verdicts.code[cut], 0]
        task = np.where(row == _NONE, _NONE, self._task[row] if len(self._task) else row)
        columns = (task, *(column[cut] for column in verdicts[1:]))
        for task_, minute, success, bucket, count in zip(*(column.tolist() for column in columns), strict=True):
            if task_ != _NONE:
                self._delays.add(task_, minute, success, bucket, count)

    def _until(self, hour: int) -> Iterator[TrustRecord]:
        """Look at every end up to that of the hour before."""
        while (end := self._next_end()) is not None and end <= hour:
            yield from self._end(end)

    def _next_end(self) -> int | None:
        if self._ended == _NONE:
            return None
        ends = [] if self._open == _NONE else [self._open + 1]
        if self._is_awake():
            ends.append((self._ended // HOURS_PER_DAY + 1) * HOURS_PER_DAY)
        return min(ends, default=None)

    def _is_awake(self) -> bool:
        """Whether any row had evidence, or a day has not been learned from: else midnights have nothing to tell."""
        return bool(self._counts.day.any() or self._alive.any())

    def _age(self, end: int) -> I64:
        """All counts at a later end; which rows the open hour had checks of."""
        half_life, hours = self.settings.half_life_hours, end - self._ended
        decay = 2 ** (-hours / half_life)
        touched = self._counts.settle(decay)
        self._calls.settle(hours, half_life)
        self._rules.settle(end, decay)
        self._ended, self._open = end, _NONE
        return touched

    def _end(self, end: int) -> Iterator[TrustRecord]:
        rows = self._age(end)
        if end % HOURS_PER_DAY == 0:
            self._end_day(end)
            rows = np.union1d(rows, np.flatnonzero(self._alive))
        if len(rows):
            yield from self._issue(end, np.array(sorted(rows.tolist(), key=lambda at: by_name(self._rows[at]))))

    def _end_day(self, end: int) -> None:
        effect = self._counts.effects(GRAIN)
        days = max((end - self._day_ended) // HOURS_PER_DAY, 1)
        order = np.array(rows_by_name(self._rows), np.int64)
        self._dispersion.end_day(self._counts.day, self._counts.base, effect, self._pool, order, days)
        self._counts.end_day()
        self._delays.begin_day(end // HOURS_PER_DAY)
        self._day_ended = end

    def _issue(self, end: int, rows: I64) -> Iterator[TrustRecord]:
        while self._history and self._history[0][0] <= end - HOURS_PER_DAY:
            _, seen, rate = self._history.popleft()
            self._before[seen] = rate
        now = self._estimates(rows)
        self._seq[rows] += 1
        self._alive[rows] = now.scores.coverage > 0
        points = contributions(now.rates.rate, self._before[rows], self._weights)
        self._history.append((end, rows, now.rates.rate))
        for at, row in enumerate(rows.tolist()):
            seq = int(self._seq[row])
            yield issued(end, self._rows[row], seq, self.settings, now, at, points[at], self._mover(row))

    def _estimates(self, rows: I64) -> Estimates:
        shares, task = self._delays.shares(), self._task[rows]
        expected = self._calls.expected(rows, task, shares)
        effect = self._counts.effects(GRAIN)[rows]
        counts, pool = self._counts.aged[:, rows], self._pool[rows]
        return estimates(counts, effect, pool, self._dispersion, expected, shares.known[task], self._weights)

    def _mover(self, row: int) -> Any:
        return lambda dimension, points: self._rules.mover(row, dimension, points)

    def state(self) -> dict[str, Any]:
        """Everything needed to go on elsewhere; not a copy."""
        parts = ("counts", "calls", "rules", "dispersion", "delays")
        return {name: getattr(self, f"_{name}").state() for name in parts} | {
            "rows": self._rows,
            "tasks": list(self._tasks),
            "ended": self._ended,
            "open": self._open,
            "day_ended": self._day_ended,
            "formula": self.settings.formula,
            "alive": self._alive,
            "seq": self._seq,
            "before": self._before,
            "history": list(self._history),
        }

    @classmethod
    def from_state(cls, state: dict[str, Any], settings: TrustSettings) -> Trust:
        """Go on from a `state()`."""
        return cls(settings, state)


def _pool(tasks: dict[str, int], row: AnyGroup) -> int:
    """Whose days are learned from together: the groups of a task type, and its whole."""
    return 2 * tasks[row[0]] + (row[1] is None)


def _within(hour: int, minute: Any) -> slice:
    """The rows of an hour; `minute` ascends."""
    low, high = np.searchsorted(minute, (hour * MINUTES_PER_HOUR, (hour + 1) * MINUTES_PER_HOUR)).tolist()
    return slice(low, high)
