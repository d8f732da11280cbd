"""How many calls come, and how many of the statements that are due on them: per task type, and per source of each.

A feedback source that has gone silent looks like nothing at all in the rates: they just stand still. So statements are
counted against those due from the calls of the last 72 hours (`models.drift.volume.expected_responses`), which follows
traffic by itself, and both against the hours of the week (`models.drift.volume.weekly_profile`), because people sleep.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from aftercall.times import HOUR_US, MINUTE_US
from models.alarms.alarm import Alarm
from models.arrays import F64, I32, I64
from models.drift.budget import part_of_source
from models.drift.settings import DriftSettings
from models.drift.volume.detector import ArrivalDetector, Measure
from models.drift.volume.expected_responses import AGES, RecentCalls, ResponseDelays, day_ends
from models.drift.volume.responses import ResponseDetector
from models.messages import Closed
from models.stats.minute_delays import BUCKETS

CALLS: Final = ("volume", "calls")
RESPONSES: Final = ("volume", "responses")
"""(kind, metric); of responses the source follows after a colon."""
MOST_WATCHED: Final = 4096
"""Task types, and pairs of task type and source, that are watched; those that come later are not."""
MINUTES: Final = 60


class Volume:
    """Watches calls per task type and statements per source; what comes out does not depend on cuts into messages.

    Where files are read, neither is watched beyond the last record of its kind: a file ends, and no service does.
    """

    def __init__(self, settings: DriftSettings, state: dict[str, Any] | None = None) -> None:
        """Start fresh, or from the `state()` of another instance."""
        kept: dict[str, Any] = state or dict.fromkeys(("calls", "responses", "recent", "delays"))
        self._settings = settings
        self._calls = ArrivalDetector(settings, more=True, state=kept["calls"])
        self._responses = ResponseDetector(settings, kept["responses"])
        self._recent = RecentCalls(kept["recent"])
        self._delays = ResponseDelays(kept["delays"])
        self._sources: dict[str, int] = kept.get("sources", {})
        """Sources that each task type has had."""
        self._next: int | None = kept.get("next")
        self._called: dict[int, dict[str, int]] = kept.get("called", {})
        self._stated: dict[int, dict[tuple[str, str], F64]] = kept.get("stated", {})

    def close(self, closed: Closed, alarms: Sequence[Alarm] = ()) -> list[Alarm]:
        """See `Detector`; hours are tested once they are complete."""
        raised = list(alarms)
        self._count(closed)
        waiting = [*self._called, *self._stated]
        if self._next is None:
            if not waiting:
                return raised
            self._next = min(waiting)
        end = closed.through // MINUTES
        while self._next < end:
            if not self._calls.keys and not self._responses.keys:
                # Nothing is watched: skip to the next hour with events.
                self._next = min((hour for hour in (*self._called, *self._stated) if hour >= self._next), default=end)
                if self._next >= end:
                    break
            raised += self._advance_hour(self._next)
            self._next += 1
        return raised

    def state(self) -> dict[str, Any]:
        """Plain values and arrays; not a copy."""
        return {
            "calls": self._calls.state(),
            "responses": self._responses.state(),
            "recent": self._recent.calls,
            "delays": self._delays.state(),
            "sources": self._sources,
            "next": self._next,
            "called": self._called,
            "stated": self._stated,
        }

    def _count(self, closed: Closed) -> None:
        self._count_calls(closed)
        self._count_statements(closed)

    def _count_calls(self, closed: Closed) -> None:
        # Failed attempts are calls for all others, but no traffic: retries in an incident would look like a crowd.
        trials, attempts = closed.trials, closed.attempts
        hour, code, count = (
            np.concatenate(columns).astype(np.int64)
            for columns in (
                (_hours(trials.minute), _hours(attempts.minute)),
                (trials.code, attempts.code),
                (trials.calls, -attempts.count.astype(np.int64)),
            )
        )
        first, place = _alike(hour, code)
        sums = np.bincount(place, count, len(first)).astype(np.int64)
        called = Counter[tuple[int, str]]()
        for one_hour, one_code, more in zip(hour[first].tolist(), code[first].tolist(), sums.tolist(), strict=True):
            called[one_hour, closed.names[one_code][0]] += more
        for (one_hour, task), more in called.items():
            if more:
                calls = self._called.setdefault(one_hour, {})
                calls[task] = calls.get(task, 0) + more

    def _count_statements(self, closed: Closed) -> None:
        some = closed.responses.statements != 0
        hour, code, source, bucket, count = (
            column[some].astype(np.int64)
            for column in (
                _hours(closed.responses.minute),
                closed.responses.code,
                closed.responses.source,
                closed.responses.bucket,
                closed.responses.statements,
            )
        )
        first, place = _alike(hour, code, source)
        sums = np.bincount(place * BUCKETS + bucket, count, len(first) * BUCKETS).reshape(-1, BUCKETS)
        rows = zip(hour[first].tolist(), code[first].tolist(), source[first].tolist(), sums, strict=True)
        for one_hour, one_code, one_source, delays in rows:
            key = (closed.names[one_code][0], closed.sources[one_source])
            stated = self._stated.setdefault(one_hour, {})
            stated[key] = np.add(delays, stated.get(key, 0.0), dtype=np.float64)

    def _advance_hour(self, hour: int) -> list[Alarm]:
        called, stated = self._called.pop(hour, {}), self._stated.pop(hour, {})
        self._forget(hour)
        self._begin(called, stated, hour)
        tasks = {key[0]: row for row, key in enumerate(self._calls.keys)}
        calls = np.zeros(len(tasks))
        for task, count in called.items():
            if task in tasks:
                calls[tasks[task]] = count
        passed = self._recent.step(calls)
        until = self._settings.read_until
        alarms = self._test_calls(hour, calls) if _read(hour, until.calls) else []
        if self._responses.keys and _read(hour, until.outcomes):
            rows = [tasks[key[0]] for key in self._responses.keys]
            alarms += self._test_responses(hour, stated, passed[rows], self._recent.calls[rows])
        return alarms

    def _test_calls(self, hour: int, calls: F64) -> list[Alarm]:
        detector = self._calls
        detector.normal(hour)
        # Only the hour of the week makes calls due.
        found = detector.advance_hour(hour, calls, np.ones(len(calls)), detector.usual(hour))
        kind, metric = CALLS
        measures = []
        for row, deviation in found:
            hours = max(hour + 1 - deviation.since, 1.0)
            series = (kind, (detector.keys[row][0], None, None), metric)
            measures.append(Measure(series, deviation.foreseen / hours, "calls an hour"))
        return detector.alarms(found, measures, hour)

    def _test_responses(self, hour: int, stated: dict[tuple[str, str], F64], passed: F64, calls: F64) -> list[Alarm]:
        detector = self._responses
        self._delays.relearn(detector.normal(hour))
        answered = np.zeros((len(detector), BUCKETS))
        for row, (task, source) in enumerate(detector.keys):
            answered[row] = stated.get((task, source), 0.0)
        learning, shares = detector.learning, self._delays.shares.sum(axis=1)
        due = self._delays.due(calls)
        found = detector.advance_hour(hour, answered.sum(axis=1), due, due)
        self._delays.learn(answered[:, :AGES], passed, calls, learning, day_ends=day_ends(hour))
        kind, metric = RESPONSES
        measures = []
        for row, _ in found:
            task, source = detector.keys[row]
            series = (kind, (task, None, None), f"{metric}:{source}")
            measures.append(Measure(series, float(shares[row]), "statements per call"))
        return detector.alarms(found, measures, hour)

    # What is watched

    def _begin(self, called: Iterable[str], stated: Iterable[tuple[str, str]], hour: int) -> None:
        """Start to watch new task types and sources, by name within an hour."""
        stated = sorted(stated)
        known = {key[0] for key in self._calls.keys}
        tasks = sorted({*called, *(task for task, _ in stated)} - known)[: MOST_WATCHED - len(known)]
        if tasks:
            self._calls.add([(task,) for task in tasks], [self._settings.threshold_of("calls")] * len(tasks), hour)
            self._recent.add(len(tasks))
        known |= set(tasks)
        pairs = set(self._responses.keys)
        fresh = [key for key in stated if key not in pairs and key[0] in known][: MOST_WATCHED - len(pairs)]
        if fresh:
            places: dict[str, int] = defaultdict(int, self._sources)
            thresholds = []
            for task, _ in fresh:
                thresholds.append(self._settings.threshold_of("responses", part_of_source(places[task])))
                places[task] += 1
            self._sources = dict(places)
            self._responses.add(fresh, thresholds, hour)
            self._delays.add(len(fresh))

    def _forget(self, hour: int) -> None:
        """Drop series without events for weeks; a source goes with its task."""
        gone = self._calls.forgotten(hour)
        lost = {key[0] for key, over in zip(self._calls.keys, gone.tolist(), strict=True) if over}
        silent = self._responses.forgotten(hour)
        silent |= np.array([key[0] in lost for key in self._responses.keys], np.bool_)
        if silent.any():
            self._responses.keep(~silent)
            self._delays.keep(~silent)
        if gone.any():
            self._calls.keep(~gone)
            self._recent.calls = self._recent.calls[~gone]
            for task in lost:
                self._sources.pop(task, None)


def _read(hour: int, until: int | None) -> bool:
    """Whether all of an hour was read, where the last record is of `until`: a file says nothing of what comes after."""
    return until is None or (hour + 1) * HOUR_US <= (until // MINUTE_US + 1) * MINUTE_US


def _hours(minute: I32) -> NDArray[np.int64]:
    return minute.astype(np.int64) // MINUTES


def _alike(*columns: I64) -> tuple[I64, I64]:
    """The first row of each kind, in order, and the number of each row's kind: rows are alike in all `columns`."""
    key = np.zeros(len(columns[0]), np.int64)
    for column in columns:
        low = int(column.min(initial=0))
        key = key * (int(column.max(initial=0)) - low + 1) + column - low
    _, first, place = np.unique(key, return_index=True, return_inverse=True)
    order = np.argsort(first)
    number = np.empty_like(order)
    number[order] = np.arange(len(order))
    return first[order], number[place]
