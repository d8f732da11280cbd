"""Shifts of latency, cost, tokens and scores: Page-Hinkley on standardised values, per group and metric.

Amounts are taken as logarithms, scores as they are. Scores come as counts per minute: within a minute they are dealt
evenly, as their order is not known and must not matter.

No promise is made for these alerts. On log-normal values the settings gave no false alarm in 1.5 million values, and
found a shift of the log by a sixth of its standard deviation after about 800 values, by 0.4 after 170, by 0.8 after 80.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from importlib.metadata import version
from itertools import repeat
from typing import Any, Final

import numpy as np

from aftercall.records import Direction
from aftercall.times import MINUTE_US
from models.alarms.alarm import Alarm, MeanChange, Series
from models.alarms.digits import rounded
from models.alarms.open_alarms import OpenAlarms
from models.arrays import F64, I32
from models.drift.river_codecs import page_hinkley, page_hinkley_from, page_hinkley_plain
from models.drift.settings import DriftSettings
from models.messages import LEVELS, Closed, Group
from models.state import check_river
from models.stats.intervals import Z_99

_KIND = "shift"
UNITS: Final = {"latency_ms": "ms", "cost_usd": "USD", "tokens": "tokens"}
"""Metrics of calls."""
SCORE = "score"
"""Followed by a colon and the source."""
_REFERENCE = 1000
"""Values that make up a reference."""

_DELTA = 0.1
_THRESHOLD = 60.0
_LEAST_DEVIATION = 0.05  # of the log: prices that never varied may still vary by 5 % before it means something
_FARTHEST = 6.0  # deviations: no single value is a shift
_GOLDEN = (math.sqrt(5) - 1) / 2


class _Side:
    """One side of a cusum with Page-Hinkley's allowance: values since its last zero, their sum, time of the first.

    It decides nothing: river detects *that* the level shifted, this estimates since when and how far.
    """

    __slots__ = ("count", "height", "since", "total")

    def __init__(self, height: float = 0.0, count: int = 0, total: float = 0.0, since: int = 0) -> None:
        self.height, self.count, self.total, self.since = height, count, total, since

    def plain(self) -> tuple[float, int, float, int]:
        return self.height, self.count, self.total, self.since


class _Watch:
    """One metric of one group: learns mean and deviation of the log from `_REFERENCE` values, then watches."""

    __slots__ = ("count", "detector", "deviation", "falling", "mean", "rising", "squares")

    def __init__(self) -> None:
        self.count = 0
        self.mean = 0.0
        self.squares = 0.0
        self.deviation = 1.0
        self.detector: Any = None
        self.rising = _Side()
        self.falling = _Side()

    def plain(self) -> tuple[Any, ...]:
        return (
            *(self.count, self.mean, self.squares, self.deviation),
            None if self.detector is None else page_hinkley_plain(self.detector),
            *(self.rising.plain(), self.falling.plain()),
        )

    @classmethod
    def from_plain(cls, plain: tuple[Any, ...]) -> _Watch:
        """The reverse of `plain`."""
        watch = cls()
        watch.count, watch.mean, watch.squares, watch.deviation, detector = plain[:5]
        watch.detector = None if detector is None else page_hinkley_from(detector)
        watch.rising, watch.falling = _Side(*plain[5]), _Side(*plain[6])
        return watch

    def feed(self, logs: list[float], times: list[int], at: int) -> int:
        """Take in the values from index `at` on; returns the index at which a shift shows, or their number."""
        while at < len(logs) and self.detector is None:
            self._learn(logs[at])
            at += 1
        if at == len(logs):
            return at
        update, detector = self.detector.update, self.detector
        mean, deviation = self.mean, self.deviation
        rising, falling = self.rising, self.falling
        for index in range(at, len(logs)):
            z = (logs[index] - mean) / deviation
            if not -_FARTHEST < z < _FARTHEST:
                z = math.copysign(_FARTHEST, z)
            update(z)
            for side, step in ((rising, z), (falling, -z)):
                height = side.height + step - _DELTA
                if height <= 0.0:
                    side.height, side.count, side.total = 0.0, 0, 0.0
                    continue
                if not side.count:
                    side.since = times[index]
                side.height = height
                side.count += 1
                side.total += z
            if detector.drift_detected:
                return index
        return len(logs)

    def _learn(self, log: float) -> None:
        """Welford's recurrence, in order (Welford 1962, Technometrics 4, 419-420)."""
        self.count += 1
        step = log - self.mean
        self.mean += step / self.count
        self.squares += step * (log - self.mean)
        if self.count == _REFERENCE:
            self.deviation = max(math.sqrt(self.squares / (_REFERENCE - 1)), _LEAST_DEVIATION)
            self.detector = _page_hinkley()


def _page_hinkley() -> Any:
    detector = page_hinkley(delta=_DELTA, threshold=_THRESHOLD, alpha=1.0, min_instances=_REFERENCE)
    # The reference's mean, as often as the reference has values: else the detector would take its mean from what it is
    # to judge, and see nothing for another thousand values.
    for zero in repeat(0.0, _REFERENCE):
        detector.update(zero)
    return detector


class MeanShift:
    """Watches latency, cost, tokens and scores of every (task, model, config); about 3 kB per group once it watches."""

    def __init__(self, settings: DriftSettings, state: dict[str, Any] | None = None) -> None:
        """Start fresh, or from the `state()` of another instance.

        Raises:
            StateError: where the state's detectors come from another version of river.
        """
        self._watches: dict[tuple[Group, str], _Watch] = {}
        self._open = OpenAlarms(settings.new_normal_after_us, None if state is None else state["book"])
        if state is not None:
            check_river(state, "drift")
            self._watches = {key: _Watch.from_plain(plain) for key, plain in state["series"]}

    def close(self, closed: Closed, alarms: Sequence[Alarm] = ()) -> list[Alarm]:
        """See `Detector`: values and scores of all minutes that have closed."""
        raised = list(alarms)
        self._close_values(closed, raised)
        self._close_scores(closed, raised)
        self._open.expire(closed.through * MINUTE_US)
        return raised

    def _close_values(self, closed: Closed, raised: list[Alarm]) -> None:
        names, values = closed.names, closed.values
        order = np.argsort(values.code, kind="stable")
        code = values.code[order]
        starts = np.flatnonzero(np.diff(code, prepend=-1))
        for start, end in zip(starts.tolist(), [*starts[1:].tolist(), len(code)], strict=False):
            span, group = order[start:end], names[code[start]]
            for metric in UNITS:
                column = getattr(values, metric)
                rows = span[column[span] > 0]
                if len(rows):
                    logs = [math.log(value) for value in column[rows].tolist()]
                    self._feed((group, metric), logs, values.at[rows].tolist(), values.minute[rows], raised)

    def _close_scores(self, closed: Closed, raised: list[Alarm]) -> None:
        scores = closed.scores
        order = np.lexsort((scores.level, scores.minute, scores.source, scores.code))
        key = scores.code[order].astype(np.int64) * max(len(closed.sources), 1) + scores.source[order]
        starts = np.flatnonzero(np.diff(key, prepend=-1))
        for start, end in zip(starts.tolist(), [*starts[1:].tolist(), len(key)], strict=False):
            rows = order[start:end]
            minute, level = (np.repeat(column[rows], scores.count[rows]) for column in (scores.minute, scores.level))
            dealt = np.lexsort((_dealt(minute), minute))
            metric = f"{SCORE}:{closed.sources[scores.source[rows[0]]]}"
            times = (minute.astype(np.int64) * MINUTE_US).tolist()
            self._feed(
                (closed.names[scores.code[rows[0]]], metric), (level[dealt] / LEVELS).tolist(), times, minute, raised
            )

    def state(self) -> dict[str, Any]:
        """Plain values, and the version of the river that they are read back with."""
        used = any(watch.detector is not None for watch in self._watches.values())
        return {
            "river": version("river") if used else None,
            "series": [(key, watch.plain()) for key, watch in self._watches.items()],
            "book": self._open.state(),
        }

    def _feed(
        self, key: tuple[Group, str], values: list[float], times: list[int], minutes: I32, raised: list[Alarm]
    ) -> None:
        """Values of one series with their times and effective minutes, in their order."""
        watch = self._watches.get(key)
        if watch is None:
            watch = self._watches[key] = _Watch()
        at = watch.feed(values, times, 0)
        while at < len(values):
            raised.append(self._alarm(key, watch, (int(minutes[at]) + 1) * MINUTE_US))
            watch = self._watches[key] = _Watch()
            at = watch.feed(values, times, at + 1)

    def _alarm(self, key: tuple[Group, str], watch: _Watch, ending: int) -> Alarm:
        group, metric = key
        series: Series = (_KIND, group, metric)
        self._open.expire(ending, series)
        direction: Direction = "up" if watch.rising.height >= watch.falling.height else "down"
        origin = self._open.origin(series, direction)
        reference = watch.mean if origin is None else origin[0]
        made = _score_alarm if metric.startswith(SCORE) else _amount_alarm
        return self._open.add(made(series, direction, ending, watch, reference), (reference,))


def _dealt(minute: I32) -> F64:
    """Places within each minute that spread equal neighbours evenly (multiples of the golden ratio, modulo 1)."""
    if not len(minute):
        return np.zeros(0)
    first = np.flatnonzero(np.diff(minute, prepend=int(minute[0]) - 1))
    place = np.arange(len(minute)) - np.repeat(first, np.diff(np.append(first, len(minute))))
    spread: F64 = np.mod(place * _GOLDEN, 1.0)
    return spread


def _score_alarm(series: Series, direction: Direction, ending: int, watch: _Watch, reference: float) -> Alarm:
    """In terms of means; `reference` may be an earlier one than that of the watch."""
    current, half, side = _level_since(watch, direction)
    return Alarm(
        at=ending,
        series=series,
        direction=direction,
        baseline=reference,
        current=current,
        effect_low=current - reference - half,
        effect_high=current - reference + half,
        changed_at=side.since if side.count else ending,
        promise=None,
        evidence=rounded({"values_since": side.count, "deviation": watch.deviation}),
        details=MeanChange(""),
    )


def _amount_alarm(series: Series, direction: Direction, ending: int, watch: _Watch, reference: float) -> Alarm:
    """In terms of geometric means, and the difference between them; `reference` is a logarithm."""
    level, half, side = _level_since(watch, direction)
    change = level - reference
    baseline = math.exp(reference)
    return Alarm(
        at=ending,
        series=series,
        direction=direction,
        baseline=baseline,
        current=math.exp(reference + change),
        effect_low=baseline * math.expm1(change - half),
        effect_high=baseline * math.expm1(change + half),
        changed_at=side.since if side.count else ending,
        promise=None,
        evidence=rounded({"factor": math.exp(change), "values_since": side.count, "deviation_of_log": watch.deviation}),
        details=MeanChange(UNITS[series[2]]),
    )


def _level_since(watch: _Watch, direction: Direction) -> tuple[float, float, _Side]:
    """Mean of the values since the change, half of its 99 % interval against the reference, and the cusum's side."""
    side = watch.rising if direction == "up" else watch.falling
    count = max(side.count, 1)
    half = Z_99 * watch.deviation * math.sqrt(1 / count + 1 / _REFERENCE)
    return watch.mean + watch.deviation * side.total / count, half, side
