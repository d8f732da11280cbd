"""How many calls come, and how many of the statements that are due on them: per task type, and per source of each.

A feedback source that has gone silent looks like nothing at all in the rates: they just stand still. So statements are
counted against those due from the calls of the last 72 hours (`models.drift.volume.expected_responses`), which follows
traffic by itself, and both against the hours of the week (`models.drift.volume.weekly_profile`), because people sleep.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from aftercall.records import Alert
from models.arrays import F64, I32
from models.drift.settings import DriftSettings, part_of_source
from models.drift.volume.detector import ArrivalWatch, Telling
from models.drift.volume.expected_responses import AGES, RecentCalls, ResponseDelays, day_ends
from models.messages import Closed
from models.stats.minute_delays import BUCKETS

CALLS: Final = ("volume", "calls")
RESPONSES: Final = ("volume", "responses")
"""(kind, metric); of responses the source follows after a colon."""
MOST_WATCHED: Final = 4096
"""Task types, and pairs of task type and source, that are watched; those that come later are not."""
MINUTES: Final = 60


class Volume:
    """Watches calls per task type and statements per source; what comes out does not depend on cuts into messages."""

    def __init__(self, settings: DriftSettings, state: dict[str, Any] | None = None) -> None:
        """Start fresh, or from the `state()` of another instance."""
        kept: dict[str, Any] = state or dict.fromkeys(("calls", "responses", "recent", "delays"))
        self._settings = settings
        after, promise = settings.new_normal_after_us, settings.promise
        self._calls = ArrivalWatch(more=True, new_normal_after_us=after, promise=promise, state=kept["calls"])
        self._responses = ArrivalWatch(more=False, new_normal_after_us=after, promise=promise, state=kept["responses"])
        self._recent = RecentCalls(kept["recent"])
        self._delays = ResponseDelays(kept["delays"])
        self._sources: dict[str, int] = kept.get("sources", {})
        """Sources that each task type has had."""
        self._next: int | None = kept.get("next")
        self._called: dict[int, dict[str, int]] = kept.get("called", {})
        self._stated: dict[int, dict[tuple[str, str], F64]] = kept.get("stated", {})

    def close(self, closed: Closed) -> list[Alert]:
        """Take in the minutes that have closed; hours are looked at once they are complete."""
        self._take(closed)
        waiting = [*self._called, *self._stated]
        if self._next is None:
            if not waiting:
                return []
            self._next = min(waiting)
        alerts: list[Alert] = []
        end = closed.through // MINUTES
        while self._next < end:
            if not self._calls.keys and not self._responses.keys:
                # Nobody to miss anything: on to the next that comes.
                self._next = min((hour for hour in (*self._called, *self._stated) if hour >= self._next), default=end)
                if self._next >= end:
                    break
            alerts += self._step(self._next)
            self._next += 1
        return alerts

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

    def _take(self, closed: Closed) -> None:
        tasks = [name[0] for name in closed.names]
        called = closed.trials
        for task, hour, count in zip(
            map(tasks.__getitem__, called.code.tolist()),
            _hours(called.minute).tolist(),
            called.calls.tolist(),
            strict=True,
        ):
            if count:
                of = self._called.setdefault(hour, {})
                of[task] = of.get(task, 0) + count
        said = closed.responses
        rows = zip(
            _hours(said.minute).tolist(),
            said.code.tolist(),
            said.source.tolist(),
            said.bucket.tolist(),
            said.statements.tolist(),
            strict=True,
        )
        for hour, code, source, bucket, count in rows:
            if count:
                key = (tasks[code], closed.sources[source])
                by = self._stated.setdefault(hour, {})
                if key not in by:
                    by[key] = np.zeros(BUCKETS)
                by[key][bucket] += count

    def _step(self, hour: int) -> list[Alert]:
        called, stated = self._called.pop(hour, {}), self._stated.pop(hour, {})
        self._forget(hour)
        self._meet(called, stated, hour)
        tasks = {key[0]: row for row, key in enumerate(self._calls.keys)}
        calls = np.zeros(len(tasks))
        for task, count in called.items():
            if task in tasks:
                calls[tasks[task]] = count
        passed = self._recent.step(calls)
        alerts = self._watch_calls(hour, calls)
        if self._responses.keys:
            mine = passed[[tasks[key[0]] for key in self._responses.keys]]
            alerts += self._watch_responses(hour, stated, mine)
        return alerts

    def _watch_calls(self, hour: int, calls: F64) -> list[Alert]:
        watch = self._calls
        watch.normal(hour)
        # Calls are due of nothing but the hour of the week.
        found = watch.step(hour, calls, np.ones(len(calls)), watch.usual(hour))
        told = []
        for row, seen in found:
            hours = max(hour + 1 - seen.since, 1.0)
            kind, metric = CALLS
            watched = (kind, (watch.keys[row][0], None, None), metric)
            told.append(Telling(watched, seen.foreseen / hours, "calls an hour"))
        return watch.book(found, told, hour)

    def _watch_responses(self, hour: int, stated: dict[tuple[str, str], F64], passed: F64) -> list[Alert]:
        watch = self._responses
        again = watch.normal(hour)
        self._delays.relearn(again)
        answered = np.zeros((len(watch), BUCKETS))
        for row, key in enumerate(watch.keys):
            told_of = stated.get((key[0], key[1]))
            if told_of is not None:
                answered[row] = told_of
        learning, shares = watch.learning, self._delays.shares.sum(axis=1)
        due = self._delays.due(passed)
        found = watch.step(hour, answered.sum(axis=1), due, due)
        self._delays.learn(answered[:, :AGES], passed, learning, day_ends=day_ends(hour))
        told = []
        for row, _ in found:
            task, source = watch.keys[row]
            kind, metric = RESPONSES
            watched = (kind, (task, None, None), f"{metric}:{source}")
            told.append(Telling(watched, float(shares[row]), "statements per call"))
        return watch.book(found, told, hour)

    # Who is watched

    def _meet(self, called: Iterable[str], stated: Iterable[tuple[str, str]], hour: int) -> None:
        """New task types and sources, by name within an hour."""
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
        """Who has not been heard of for weeks; a source with its task."""
        gone = self._calls.given_up(hour)
        lost = {key[0] for key, over in zip(self._calls.keys, gone.tolist(), strict=True) if over}
        silent = self._responses.given_up(hour)
        silent |= np.array([key[0] in lost for key in self._responses.keys], np.bool_)
        if silent.any():
            self._responses.keep(~silent)
            self._delays.keep(~silent)
        if gone.any():
            self._calls.keep(~gone)
            self._recent.calls = self._recent.calls[~gone]
            for task in lost:
                self._sources.pop(task, None)


def _hours(minute: I32) -> NDArray[np.int64]:
    return minute.astype(np.int64) // MINUTES
