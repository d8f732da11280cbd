"""Promised alarms on values: CT-SR on how many lie above quantiles of a frozen reference.

The quantile itself need not be known: of n reference values k lay above the level that was chosen, and what share of
later ones will is then Beta(k, n - k + 1) whatever the distribution (David and Nagaraja 2003, Order Statistics, section
7.2), which is how models.stats.shiryaev_roberts takes a baseline of k events in n trials. Only the order of values
counts, so one wild value is no more than one. Nights and weekends differ: a reference spans a week, and what the hours
of its day and the days of its week lay above or below its mean is taken off every value. What hours and days vary
beyond that is learned as for outcomes, for another week before the first test.

Latency, cost and tokens are compared by the buckets of models.stats.quantile_sketch (2 %), scores by their hundredths.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final, NamedTuple

import numpy as np

from aftercall.records import Direction
from aftercall.times import MINUTE_US, MINUTES_PER_DAY
from models.alarms.alarm import Alarm, Series, ShareChange
from models.alarms.digits import rounded
from models.alarms.open_alarms import OpenAlarms
from models.arrays import F64, I64
from models.columns.group_sums import total
from models.drift.budget import part_of_source
from models.drift.settings import DriftSettings
from models.drift.trial_history import TrialHistory, buckets
from models.drift.values.reference import SLOTS, Reference, offsets
from models.messages import LEVELS, Closed, Group
from models.stats import quantile_sketch as sketch
from models.stats.change_point import change_index
from models.stats.intervals import Z_99, newcombe
from models.stats.shiryaev_roberts import ShiryaevRoberts

_KIND: Final = "quantile"
BATCH: Final = 10
"""Minutes: values are tested so often."""
_REFERENCE: Final = 1000
"""Values that a reference has at least."""
REFERENCE_MINUTES: Final = 7 * MINUTES_PER_DAY
"""Minutes that it spans at least."""
TESTED_AFTER: Final = 14 * MINUTES_PER_DAY
"""Minutes from the first value to the first test."""
QUANTILES: Final = {"latency_ms": (0.5, 0.9), "cost_usd": (0.5, 0.9), "tokens": (0.5, 0.9), "score": (0.5, 0.1)}
"""Of scores the low quantile: bad answers."""
MARGIN: Final = 0.01
"""How far a share of values may be off without counting as evidence."""
_UNITS: Final = {"latency_ms": "ms", "cost_usd": "USD", "tokens": "tokens", "score": ""}
_NANO: Final = 1e9
_TESTS: Final = 2
_UNKNOWN: Final = -(2**62)

Key = tuple[Group, str, str | None]
"""(group, metric, source of a score)."""
_AboveOf = tuple[float, float]


class _Counts(NamedTuple):
    """Values per batch, watch and level, each once, in this order."""

    batch: I64
    watch: I64
    level: I64
    number: I64

    def where(self, chosen: Any) -> _Counts:
        return _Counts(*(column[chosen] for column in self))


class QuantileShift:
    """Watches every (task, model, config), metric and source of scores; about 2 kB each.

    What comes out does not depend on how minutes are cut into calls of `close`.
    """

    def __init__(self, settings: DriftSettings, state: dict[str, Any] | None = None) -> None:
        """Start fresh, or from the `state()` of another instance."""
        self._settings = settings
        kept: dict[str, Any] = state or {}
        self._names: list[Key] = list(kept.get("names", ()))
        """By the number that waiting counts have."""
        self._number = {key: number for number, key in enumerate(self._names)}
        self._keys: list[Key] = list(kept.get("keys", ()))
        """By row: given when a batch is tested, so that rows do not depend on cuts either."""
        self._row = {key: row for row, key in enumerate(self._keys)}
        self._sources: dict[Group, int] = kept.get("sources", {})
        none = np.zeros(0, np.int64)
        self._began: I64 = kept.get("began", none)
        self._threshold: F64 = kept.get("threshold", np.zeros(0))
        self._level: I64 = kept.get("level", np.zeros((0, _TESTS), np.int64))
        """Above which a value exceeds; `_UNKNOWN` while the reference is learned."""
        self._offset: I64 = kept.get("offset", np.zeros((0, SLOTS), np.int64))
        """Levels that values of each hour of the week are above the mean."""
        self._reference = {row: Reference(*plain) for row, plain in kept.get("reference", {}).items()}
        """Of those that have no level yet."""
        self._pending = _Counts(*kept.get("pending", (none,) * 4))
        self._statistics = ShiryaevRoberts(2)
        self._since: I64 = kept.get("since", none)
        self._history = TrialHistory(kept.get("history"))
        self._open = OpenAlarms(settings.new_normal_after_us, kept.get("book"))
        self._shared: dict[str, int] = kept.get("shared", {})
        """Task types of which trials share units, and since which minute: their scores are no independent values."""
        if state is not None:
            statistics = {**kept["statistics"], "dispersion": kept["dispersion"]}
            self._statistics = ShiryaevRoberts.from_state(statistics, min_trials=statistics["min_trials"])

    def close(self, closed: Closed, alarms: Sequence[Alarm] = ()) -> list[Alarm]:
        """See `Detector`; batches of `BATCH` minutes are tested once they are complete."""
        raised = list(alarms)
        codes, first = np.unique(closed.units.code, return_index=True)
        for code, minute in sorted(zip(codes.tolist(), closed.units.minute[first].tolist(), strict=True), key=_second):
            self._shared.setdefault(closed.names[code][0], minute)
        counts = self._pending_with(closed)
        end = closed.through // BATCH
        done = counts.batch < end
        self._pending, counts = counts.where(~done), counts.where(done)
        starts = np.flatnonzero(np.diff(counts.batch, prepend=-1))
        for start, stop in zip(starts, [*starts[1:], len(counts.batch)], strict=False):
            self._test(int(counts.batch[start]), counts.where(slice(start, stop)), raised)
        self._open.expire(closed.through * MINUTE_US)
        return raised

    def state(self) -> dict[str, Any]:
        """Plain values and arrays; not a copy."""
        statistics = {"min_trials": self._statistics.min_trials, **self._statistics.state()}
        dispersion = statistics.pop("dispersion")
        return {
            "names": self._names,
            "keys": self._keys,
            "sources": self._sources,
            "began": self._began,
            "threshold": self._threshold,
            "level": self._level,
            "offset": self._offset,
            "reference": {row: reference.plain() for row, reference in self._reference.items()},
            "pending": tuple(self._pending),
            "statistics": statistics,
            "dispersion": dispersion,
            "since": self._since,
            "history": self._history.state(),
            "book": self._open.state(),
            "shared": self._shared,
        }

    # From messages to counts

    def _pending_with(self, closed: Closed) -> _Counts:
        values, scores = closed.values, closed.scores
        parts = [self._pending]
        for metric, level, known in (
            ("latency_ms", sketch.value_bucket(values.latency_ms), values.latency_ms > 0),
            ("cost_usd", sketch.value_bucket(values.cost_usd * _NANO), values.cost_usd > 0),
            ("tokens", sketch.value_bucket(values.tokens.astype(np.float64)), values.tokens > 0),
        ):
            code, minute = values.code[known], values.minute[known].astype(np.int64)
            watch = self._numbers(code, [(name, metric, None) for name in closed.names])
            parts.append(_Counts(minute // BATCH, watch, level[known].astype(np.int64), np.ones(len(watch), np.int64)))
        by = scores.code.astype(np.int64) * len(closed.sources) + scores.source
        spoken, place = np.unique(by, return_inverse=True)
        pairs = [(closed.names[code // len(closed.sources)], code % len(closed.sources)) for code in spoken.tolist()]
        watch = self._numbers(place, [(name, "score", closed.sources[source]) for name, source in pairs])
        minute = scores.minute.astype(np.int64)
        parts.append(_Counts(minute // BATCH, watch, scores.level.astype(np.int64), scores.count.astype(np.int64)))
        whole = _Counts(*(np.concatenate(columns) for columns in zip(*parts, strict=True)))
        if not len(whole.batch):
            return whole
        first, (number,) = total(whole[:3], (whole.number,))
        return whole.where(first)._replace(number=number.astype(np.int64))

    def _numbers(self, code: Any, names: list[Key]) -> I64:
        """Numbers of the names that `code` points to."""
        numbers = np.zeros(max(len(names), 1), np.int64)
        for at in np.unique(code).tolist():
            number = self._number.get(names[at])
            if number is None:
                number = self._number[names[at]] = len(self._names)
                self._names.append(names[at])
            numbers[at] = number
        found: I64 = numbers[code]
        return found

    def _rows(self, numbers: I64, minute: int) -> I64:
        """Rows of the watches with these numbers; new ones begin in `minute`, by name."""
        present, place = np.unique(numbers, return_inverse=True)
        keys = [self._names[number] for number in present.tolist()]
        for key in sorted((key for key in keys if key not in self._row), key=_by_name):
            self._add(key, minute)
        rows = np.array([self._row[key] for key in keys], np.int64)
        return rows[place]

    def _add(self, key: Key, began: int) -> None:
        self._row[key] = len(self._keys)
        self._keys.append(key)
        group, metric, source = key
        part = 1.0
        if source is not None:
            place = self._sources.get(group, 0)
            self._sources[group], part = place + 1, part_of_source(place)
        self._began = np.append(self._began, began)
        self._threshold = np.append(self._threshold, self._settings.threshold_of(metric, part))
        self._level = np.concatenate((self._level, np.full((1, _TESTS), _UNKNOWN, np.int64)))
        self._offset = np.concatenate((self._offset, np.zeros((1, SLOTS), np.int64)))
        self._since = np.concatenate((self._since, np.full(_TESTS, -1, np.int64)))
        self._statistics.grow(_TESTS * len(self._keys))

    # One batch

    def _test(self, batch: int, counts: _Counts, raised: list[Alarm]) -> None:
        minute = batch * BATCH
        counts = counts._replace(watch=self._rows(counts.watch, minute))
        watched = self._level[counts.watch, 0] != _UNKNOWN
        learned = counts.where(~watched)
        if len(learned.watch):
            self._learn(minute, learned)
        counts = counts.where(watched)
        if not len(counts.watch):
            return
        level = counts.level - self._offset[counts.watch, minute // 60 % SLOTS]
        watch, place = np.unique(counts.watch, return_inverse=True)
        trials = np.bincount(place, counts.number).astype(np.float64)
        above = np.zeros((len(watch), _TESTS))
        for test in range(_TESTS):
            over = level > self._level[counts.watch, test]
            above[:, test] = np.bincount(place, np.where(over, counts.number, 0))
        rows = (watch[:, None] * _TESTS + np.arange(_TESTS)).ravel()
        events, of = above.ravel(), np.repeat(trials, _TESTS)
        self._since[rows] = np.where(self._since[rows] < 0, minute, self._since[rows])
        minutes = np.full(len(rows), minute, np.int64)
        self._history.add(rows, minutes, events, of)
        ready = minute - self._began[watch] >= TESTED_AFTER
        tested = np.repeat(ready, _TESTS)
        s = self._statistics
        s.begin_day(minute // MINUTES_PER_DAY)
        if not tested.all():
            quiet = ~tested
            s.learn(rows[quiet], minutes[quiet], events[quiet], of[quiet], 1.0)
        if not tested.any():
            return
        rows, events, of = rows[tested], events[tested], of[tested]
        more, fewer = s.update(rows, of - events, events, minute, MARGIN)
        limit = self._threshold[rows // _TESTS]
        beyond = np.flatnonzero(np.maximum(more, fewer) >= limit).tolist()
        raised += [self._alarm(int(rows[at]), minute, float(more[at]), float(fewer[at])) for at in beyond]

    def _learn(self, minute: int, counts: _Counts) -> None:
        """References grow, and freeze once they are large and old enough."""
        slot = minute // 60 % SLOTS
        starts = np.flatnonzero(np.diff(counts.watch, prepend=-1)).tolist()
        for start, stop in zip(starts, [*starts[1:], len(counts.watch)], strict=True):
            watch = int(counts.watch[start])
            levels, number = counts.level[start:stop], counts.number[start:stop]
            n = self._reference.setdefault(watch, Reference()).add(slot, levels, number)
            if n < _REFERENCE or minute + BATCH - self._began[watch] < REFERENCE_MINUTES:
                continue
            slots, levels, number = self._reference.pop(watch).counts()
            self._offset[watch] = offsets(slots, levels, number)
            levels, place = np.unique(levels - self._offset[watch, slots], return_inverse=True)
            number = np.bincount(place, number).astype(np.int64)
            above = n - np.cumsum(number)
            for test, quantile in enumerate(QUANTILES[self._keys[watch][1]]):
                at = int(np.argmin(np.abs(above / n - (1 - quantile))))
                # What no value exceeded is not exceeded by the next bucket either: prices vary by little.
                self._level[watch, test] = levels[at] + (above[at] == 0)
                over = float(number[levels > self._level[watch, test]].sum())
                self._statistics.reset(watch * _TESTS + test, over, float(n))

    def _alarm(self, row: int, minute: int, more: float, fewer: float) -> Alarm:
        """The alarm of a test; its baseline restarts at the change."""
        s = self._statistics
        group, metric, source = self._keys[row // _TESTS]
        before, since, changed = self._change(row, minute, worse=more >= fewer)
        quantile = f"p{QUANTILES[metric][row % _TESTS] * 100:.0f}"
        series: Series = (_KIND, group, f"{metric}:{quantile}" + ("" if source is None else f":{source}"))
        ending = (minute + BATCH) * MINUTE_US
        self._open.expire(ending, series)
        share0, share1 = before[0] / before[1], since[0] / since[1]
        low, high = (float(bound) for bound in newcombe(*before, *since, Z_99))
        level = _value(metric, int(self._level[row // _TESTS, row % _TESTS]))
        direction: Direction = "up" if more >= fewer else "down"
        shared = metric == "score" and self._shared.get(group[0], minute + BATCH) < minute + BATCH
        evidence = {"mean_r": max(more, fewer), "level": level, "values_since": since[1], "values_before": before[1]}
        alarm = Alarm(
            at=ending,
            series=series,
            direction=direction,
            baseline=share0,
            current=share1,
            effect_low=low,
            effect_high=high,
            changed_at=changed * MINUTE_US,
            promise=None if shared else self._settings.false_alarms_per_1000_groups_per_week,
            evidence=rounded(evidence),
            details=ShareChange(level, _UNITS[metric]),
        )
        s.reset(row, *since)
        self._since[row] = changed
        return self._open.add(alarm, (share0,))

    def _change(self, row: int, minute: int, *, worse: bool) -> tuple[_AboveOf, _AboveOf, int]:
        """Values above the level and values, before the likeliest change and since it; and its minute."""
        s = self._statistics
        above, values = float(s.failures[row]), float(s.trials[row])
        moments, f, n = buckets(*self._history.of(row), minute, int(self._since[row]))
        k = change_index(f, n, above - f.sum(), values - n.sum(), worse=worse)
        k = len(f) - 1 if k is None else k
        since = float(f[k:].sum()), float(n[k:].sum())
        return (above - since[0], values - since[1]), since, int(moments[k])


def _second(pair: tuple[int, int]) -> int:
    return pair[1]


def _by_name(key: Key) -> tuple[Any, ...]:
    return (*key[:2], key[2] or "")


def _value(metric: str, level: int) -> float:
    if metric == "score":
        return level / LEVELS
    value = float(sketch.value_of(np.array([level]))[0]) / (1 - sketch.RELATIVE_ERROR)
    return value / _NANO if metric == "cost_usd" else value
