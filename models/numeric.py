"""Shifts of latency and cost: Page-Hinkley on standardised logarithms, per group and metric.

No promise is made for these alerts. On log-normal values the settings gave no false alarm in 1.5 million values, and
found a shift of the log by a sixth of its standard deviation after about 800 values, by 0.4 after 170, by 0.8 after 80.
"""

from __future__ import annotations

import math
import pickle  # river's detectors have no other form that outlives a process
from importlib.metadata import version
from itertools import repeat
from typing import Any

import numpy as np

from aftercall.records import Alert, Direction, Severity
from models.alert_book import Alarm, AlertBook, Watched, utc_text
from models.drift_settings import DriftSettings
from models.stored import StateError
from models.streams import F64, MINUTE_US, Group, Values

KIND = "shift"
METRICS = ("latency_ms", "cost_usd")
REFERENCE = 1000
"""Values that make up a reference."""
CRITICAL_FACTOR = 2.0
"""A rise by this factor or more is critical, a smaller one a warning; a fall is information."""

_DELTA = 0.1
_THRESHOLD = 60.0
_LEAST_DEVIATION = 0.05  # of the log: prices that never varied may still vary by 5 % before it means something
_FARTHEST = 6.0  # deviations: no single value is a shift
_Z = 2.58


class _Side:
    """One side of a cusum with Page-Hinkley's allowance: values since its last zero, their sum, time of the first.

    It decides nothing: river tells *that* there was a shift, this tells since when and how far.
    """

    __slots__ = ("count", "height", "since", "total")

    def __init__(self, height: float = 0.0, count: int = 0, total: float = 0.0, since: int = 0) -> None:
        self.height, self.count, self.total, self.since = height, count, total, since

    def plain(self) -> tuple[float, int, float, int]:
        return self.height, self.count, self.total, self.since


class _Series:
    """One metric of one group: learns mean and deviation of the log from `REFERENCE` values, then watches."""

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
            *(self.count, self.mean, self.squares, self.deviation, self.detector),
            *(self.rising.plain(), self.falling.plain()),
        )

    @classmethod
    def of(cls, plain: tuple[Any, ...]) -> _Series:
        series = cls()
        series.count, series.mean, series.squares, series.deviation, series.detector = plain[:5]
        series.rising, series.falling = _Side(*plain[5]), _Side(*plain[6])
        return series

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
        if self.count == REFERENCE:
            self.deviation = max(math.sqrt(self.squares / (REFERENCE - 1)), _LEAST_DEVIATION)
            self.detector = _page_hinkley()


def _page_hinkley() -> Any:
    from river.drift import PageHinkley  # takes 3 s

    detector = PageHinkley(delta=_DELTA, threshold=_THRESHOLD, alpha=1.0, min_instances=REFERENCE)
    # The reference's mean, as often as the reference has values: else the detector would take its mean from what it is
    # to judge, and see nothing for another thousand values.
    for zero in repeat(0.0, REFERENCE):
        detector.update(zero)
    return detector


class NumericDrift:
    """Watches latency and cost of every (task, model, config); about 3 kB per group once it watches."""

    def __init__(self, settings: DriftSettings, state: dict[str, Any] | None = None) -> None:
        """Start fresh, or from the `state()` of another instance.

        Raises:
            StateError: where the state's detectors come from another version of river.
        """
        self._series: dict[tuple[Group, int], _Series] = {}
        self._book = AlertBook(settings.new_normal_after_us, None if state is None else state["book"])
        if state is not None:
            if state["river"] not in {None, version("river")}:
                raise StateError(
                    f"the state of step 'drift' holds detectors of river {state['river']}; river {version('river')} "
                    f"cannot be trusted to read them (install river=={state['river']}, or start without recovery)"
                )
            self._series = {key: _Series.of(plain) for key, plain in pickle.loads(state["series"])}

    def close(self, names: list[Group], values: Values, through: int) -> list[Alert]:
        """Take in the values of all minutes < `through`, which come sorted by (minute, at, key)."""
        alerts: list[Alert] = []
        order = np.argsort(values.code, kind="stable")
        code = values.code[order]
        starts = np.flatnonzero(np.diff(code, prepend=-1))
        for start, end in zip(starts.tolist(), [*starts[1:].tolist(), len(code)], strict=False):
            span = order[start:end]
            for metric, column in enumerate((values.latency_ms, values.cost_usd)):
                self._feed((names[code[start]], metric), column[span], values, span, alerts)
        alerts += self._book.expire(through * MINUTE_US)
        return alerts

    def state(self) -> dict[str, Any]:
        """Plain values, and river's detectors pickled beside river's version."""
        used = any(series.detector is not None for series in self._series.values())
        return {
            "river": version("river") if used else None,
            "series": pickle.dumps([(key, series.plain()) for key, series in self._series.items()]),
            "book": self._book.state(),
        }

    def _feed(
        self, key: tuple[Group, int], column: F64, values: Values, span: np.ndarray[Any, Any], alerts: list[Alert]
    ) -> None:
        positive = column > 0
        rows = span[positive]
        if not len(rows):
            return
        logs = [math.log(value) for value in column[positive].tolist()]
        times = values.at[rows].tolist()
        series = self._series.get(key)
        if series is None:
            series = self._series[key] = _Series()
        at = series.feed(logs, times, 0)
        while at < len(logs):
            self._alarm(key, series, (int(values.minute[rows[at]]) + 1) * MINUTE_US, alerts)
            series = self._series[key] = _Series()
            at = series.feed(logs, times, at + 1)

    def _alarm(self, key: tuple[Group, int], series: _Series, ending: int, alerts: list[Alert]) -> None:
        group, metric = key
        watched: Watched = (KIND, group, METRICS[metric])
        alerts += self._book.expire(ending, watched)
        direction: Direction = "up" if series.rising.height >= series.falling.height else "down"
        origin = self._book.origin(watched, direction)
        alerts.append(self._book.raise_alarm(_describe(watched, direction, ending, series, origin)))


def _describe(
    watched: Watched, direction: Direction, ending: int, series: _Series, origin: tuple[float, ...] | None
) -> Alarm:
    """An alarm in terms of geometric means, and the difference between them; the reference may be an earlier one."""
    side = series.rising if direction == "up" else series.falling
    reference = series.mean if origin is None else origin[0]
    count = max(side.count, 1)
    change = series.mean + series.deviation * side.total / count - reference
    half = _Z * series.deviation * math.sqrt(1 / count + 1 / REFERENCE)
    baseline, current = math.exp(reference), math.exp(reference + change)
    factor = math.exp(change)
    severity: Severity = "info" if direction == "down" else "critical" if factor >= CRITICAL_FACTOR else "warning"
    changed = side.since if side.count else ending
    unit = "ms" if watched[2] == "latency_ms" else "USD"
    again = "" if origin is None else "moved again: it "
    finding = (
        f"{again}{'rose' if direction == 'up' else 'fell'} from {baseline:.4g} to {current:.4g} {unit} "
        f"({factor - 1:+.0%}) since about {utc_text(changed)}"
    )
    return Alarm(
        at=ending,
        watched=watched,
        direction=direction,
        severity=severity,
        baseline=baseline,
        current=current,
        effect_low=baseline * math.expm1(change - half),
        effect_high=baseline * math.expm1(change + half),
        changed_at=changed,
        promise=None,
        finding=finding,
        evidence={"factor": factor, "values_since": side.count, "deviation_of_log": series.deviation},
        origin=(reference,),
    )
