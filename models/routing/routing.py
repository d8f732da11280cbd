"""Issue recommendations: Thompson weights over what is known at an instant of event time.

Recommendations follow from closed minutes and alerts alone, never from how these were cut into messages: evidence is
summed in integers per hour, and every issue happens at an instant that the minutes themselves determine.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, ClassVar, NamedTuple

import numpy as np

from aftercall.records import Alert, Recommendation
from aftercall.times import HOUR_US, MINUTE_US, NEVER, to_datetime, to_us
from aftercall.vocabulary import CONTRACT, EVERY_TASK, OTHER
from models.arrays import F64, I64
from models.messages import Closed
from models.routing.arm_counts import (
    CALLED,
    FAILURES,
    NEVER_CALLED,
    SHARED,
    SUCCESSES,
    ArmCounts,
)
from models.routing.arm_uses import of_version_3
from models.routing.beside import NO_FEED, Beside, Feed, feeds, places
from models.routing.facts import ArmFacts
from models.routing.migrations import with_counts_of_calls, with_shared_outcomes
from models.routing.recommendation import decide
from models.routing.silence import stops_feedback
from models.routing.wanted import TaskRouting
from models.state import Migrations
from models.stats.dispersion import GRAIN

__all__ = ["Routing", "RoutingSettings", "TaskRouting"]

KEPT_AFTER_CHANGE_US = 2 * HOUR_US
"""Evidence kept in any case when an alert resets an arm."""
RECOVERED = "current_after"
"""Evidence that an alert was closed because the change is over, not because it has become normal."""
OUTCOMES = "success_rate"
"""The metric of alerts that reset arms and call them degraded; others are about latency and cost."""
NO_ARM = -1
"""Index of a pinned arm that was never called."""


@dataclass(frozen=True)
class RoutingSettings:
    """Times in microseconds of event time.

    Attributes:
        every: issue at multiples of this, where anything changed.
        valid_for_us: life of a recommendation.
        floor: least weight of an arm within its limits, in [0, 1).
        min_evidence: resolved calls that share no unit, below which an arm is still `exploring`.
        memory_us: time constant with which older outcomes lose weight; arms not called for this long are dropped.
        max_arms: how many arms of a task type compete, those with most calls: a config that is a hash makes thousands.
        tasks: what each task type asks for.
    """

    every_us: int = HOUR_US
    valid_for_us: int = 6 * HOUR_US
    floor: float = 0.01
    min_evidence: int = 30
    memory_us: int = 7 * 24 * HOUR_US
    max_arms: int = 200
    tasks: Mapping[str, TaskRouting] = field(default_factory=dict)


class _Entries(NamedTuple):
    """Trials, or what trials share, of one task type in one message, ascending in minute."""

    arms: I64
    minutes: I64
    counts: tuple[I64, ...]


_ROWS = ((SUCCESSES, FAILURES, CALLED), (SHARED,))
"""Of trials, and of what trials share."""


class _News(NamedTuple):
    """What a message has of one task type, in the order of `_ROWS`."""

    trials: _Entries | None
    shared: _Entries | None


@dataclass
class _Cursor:
    """How far a message has been read: numbers of entries of `_News`, and of alerts."""

    read: list[int] = field(default_factory=lambda: [0] * len(_ROWS))
    alerts: int = 0


class _Task:
    """Counts, open alerts and issue counter of one task type."""

    def __init__(self, memory_us: int, wanted: TaskRouting) -> None:
        self.counts = ArmCounts(memory_us)
        self.beside = Beside(memory_us, wanted)
        self.open_alerts: dict[str, Alert] = {}
        self.seq = 0
        self.due = NEVER
        """The boundary at which what changed since the last issue will be published."""


class Routing:
    """Turns closed minutes and alerts into recommendations; one object for all task types."""

    STATE_VERSION: ClassVar = 3
    MIGRATIONS: ClassVar[Migrations] = {1: with_counts_of_calls, 2: with_shared_outcomes}

    def __init__(self, settings: RoutingSettings) -> None:
        self.settings = settings
        self._tasks: dict[str, _Task] = {}
        self._through = NEVER

    def close(self, closed: Closed, alerts: list[Alert]) -> list[Recommendation]:
        """Take in the minutes that have closed and the alerts they raised.

        Args:
            closed: what happened in these minutes; see `models.messages.Closed`.
            alerts: of these minutes, in order.

        Returns:
            Recommendations by (issued_at, task_type): one per task type at each multiple of `every_us` where something
            changed since the last, and one at the end of every minute with an alert of that task type.
        """
        tables, beside = self._by_task(closed)
        end = max(closed.through * MINUTE_US, self._through)
        alerts_by_task: dict[str, list[tuple[int, Alert]]] = {}
        for alert in alerts:
            if alert.kind == CONTRACT:
                continue  # what of it counts for routing is in the success rate
            names = [alert.task_type] if alert.task_type != EVERY_TASK else list(self._tasks)
            for name in names:
                alerts_by_task.setdefault(name, []).append((min(max(_minute_end(alert), self._through), end), alert))
        # Task types without news may still owe what they learned earlier in the hour.
        owing = (name for name, task in self._tasks.items() if NEVER < task.due <= end)
        issued: list[Recommendation] = []
        for name in sorted({*tables[0], *beside, *alerts_by_task, *owing} - {OTHER}):
            task = self._task(name)
            news = _News(*(table.get(name) for table in tables))
            task.beside.feed(beside.get(name, NO_FEED))
            issued += self._advance(name, task, news, alerts_by_task.get(name, []), end)
        self._through = end
        issued.sort(key=lambda issue: (issue.issued_at, issue.task_type))
        return issued

    def _task(self, name: str) -> _Task:
        task = self._tasks.get(name)
        if task is None:
            wanted = self.settings.tasks.get(name, TaskRouting())
            task = self._tasks[name] = _Task(self.settings.memory_us, wanted)
        return task

    def _by_task(self, closed: Closed) -> tuple[list[dict[str, _Entries]], dict[str, Feed]]:
        """The entries of each task type, per kind, and what weighs beside them."""
        trials, shared = closed.trials, closed.shared
        task_names, task_of, arm_of = self._codes(closed)
        net = (trials.successes.astype(np.int64), trials.failures.astype(np.int64), trials.calls.astype(np.int64))
        entries = [
            _split(task_names, task_of[table.code], arm_of[table.code], table.minute, counts)
            for table, counts in ((trials, net), (shared, (shared.excess,)))
        ]
        declared = any(task.segments for task in self.settings.tasks.values())
        return entries, feeds(closed, task_names, task_of, arm_of, with_segments=declared)

    def _codes(self, closed: Closed) -> tuple[list[str], I64, I64]:
        """Task index and arm index per code; -1 for groups that are not arms."""
        task_of = np.full(len(closed.names), -1, np.int64)
        arm_of = np.zeros(len(closed.names), np.int64)
        index: dict[str, int] = {}
        # Arms are numbered in the order of the rows, which no cut of messages can change.
        for code in _in_order(closed.trials.code, closed.values.code):
            task_name, model, config = closed.names[code]
            if OTHER in (task_name, model):
                continue
            task = self._task(task_name)
            task_of[code] = index.setdefault(task_name, len(index))
            arm_of[code] = task.counts.index_of((model, config))
        for task_name in index:
            self._tasks[task_name].counts.make_room()
        return list(index), task_of, arm_of

    def _advance(
        self,
        name: str,
        task: _Task,
        news: _News,
        alerts: list[tuple[int, Alert]],
        end: int,
    ) -> Iterator[Recommendation]:
        alerts.sort(key=lambda dated: dated[0])
        cursor = _Cursor()
        for now in [instant for instant in self._instants(task, news.trials, alerts) if instant <= end]:
            self._read_up_to(now, task, news, cursor)
            task.beside.advance(now)
            fresh = False
            while cursor.alerts < len(alerts) and alerts[cursor.alerts][0] <= now:
                fresh |= _apply_alert(task, alerts[cursor.alerts][1], now)
                cursor.alerts += 1
            if fresh or NEVER < task.due <= now:
                task.due = NEVER
                recommendation = self._issue(name, task, now)
                if recommendation is not None:
                    yield recommendation
        self._read_up_to(None, task, news, cursor)
        task.beside.advance(None)

    def _instants(self, task: _Task, trials: _Entries | None, alerts: list[tuple[int, Alert]]) -> list[int]:
        instants = {at for at, _ in alerts}
        if task.due > NEVER:
            instants.add(task.due)
        if trials is not None:
            instants.update(np.unique(self._boundary(trials.minutes)).tolist())
        return sorted(instants)

    def _boundary(self, minutes: I64) -> I64:
        """The first multiple of `every` at or after the end of each minute."""
        every = self.settings.every_us
        boundary: I64 = -(-((minutes + 1) * MINUTE_US) // every) * every
        return boundary

    def _read_up_to(self, now: int | None, task: _Task, news: _News, cursor: _Cursor) -> None:
        """Read on up to the minutes that end by `now`; hour by hour, because all kinds share the open hour."""
        parts: list[tuple[_Entries, tuple[int, ...]]] = []
        for kind, (entries, rows) in enumerate(zip(news, _ROWS, strict=True)):
            part, cursor.read[kind] = _up_to(now, entries, cursor.read[kind])
            if part is None:
                continue
            parts.append((part, rows))
            if entries is news.trials:
                called = part.counts[2] > 0
                task.counts.record_calls(part.arms[called], part.minutes[called])
                if task.due == NEVER:
                    task.due = int(self._boundary(part.minutes[:1])[0])
        for hour in sorted({hour for part, _ in parts for hour in np.unique(part.minutes // 60).tolist()}):
            for part, rows in parts:
                cut = slice(*np.searchsorted(part.minutes, [hour * 60, hour * 60 + 60]).tolist())
                if cut.start < cut.stop:
                    counts = tuple(column[cut] for column in part.counts)
                    task.counts.add(part.arms[cut], part.minutes[cut], rows, counts)

    def _issue(self, name: str, task: _Task, now: int) -> Recommendation | None:
        wanted = self.settings.tasks.get(name, TaskRouting())
        counts = task.counts.at(now)
        in_use = task.counts.in_use(now)
        competing = _most_called(in_use, counts[CALLED], self.settings.max_arms)
        arms = {
            task.counts.arms[index]: _facts(counts[:, index].tolist())._replace(uses=uses)
            for index, uses in zip(competing, task.beside.uses(now, competing), strict=True)
        }
        if wanted.pinned is not None:
            arms.setdefault(wanted.pinned, ArmFacts())
        if not arms:
            return None
        index = dict(zip((task.counts.arms[one] for one in competing), competing, strict=True))
        shares = task.beside.shares(now, [index.get(arm, NO_ARM) for arm in sorted(arms)])
        alerts = list(task.open_alerts.values())
        floor, least = self.settings.floor, self.settings.min_evidence
        decision = decide(arms, alerts, wanted, floor, least, task.beside.weights, shares, name)
        task.beside.weights = decision.weights
        left_out = len(in_use) - len(competing)
        others = f"; {left_out:,} other arms have fewer calls and do not compete" if left_out else ""
        task.seq += 1
        issued_at = to_datetime(now)
        return Recommendation.sealed(
            seq=task.seq,
            task_type=name,
            issued_at=issued_at,
            valid_until=issued_at + timedelta(microseconds=self.settings.valid_for_us),
            segments=decision.segments,
            degraded=decision.degraded,
            reason=decision.reason + others,
        )

    def state(self) -> dict[str, Any]:
        """Everything needed to go on elsewhere; not a copy."""
        tasks = {
            name: {
                "evidence": task.counts.state(),
                "beside": task.beside.state(),
                "open_alerts": [alert.model_dump(mode="json") for alert in task.open_alerts.values()],
                "seq": task.seq,
                "due": task.due,
            }
            for name, task in self._tasks.items()
        }
        return {"through": self._through, "tasks": tasks}

    @classmethod
    def from_state(cls, plain: dict[str, Any], settings: RoutingSettings) -> Routing:
        """Go on from a `state()`."""
        routing = cls(settings)
        routing._through = plain["through"]
        for name, stored in plain["tasks"].items():
            task = routing._task(name)
            beside = stored.get("beside") or {"uses": of_version_3(stored["evidence"])}
            task.beside = Beside(settings.memory_us, settings.tasks.get(name, TaskRouting()), beside)
            task.counts = ArmCounts.from_state(stored["evidence"], settings.memory_us)
            task.open_alerts = {alert["alert_id"]: Alert.model_validate(alert) for alert in stored["open_alerts"]}
            task.seq = stored["seq"]
            task.due = stored["due"]
        return routing


def _most_called(arms: list[int], calls: F64, most: int) -> list[int]:
    """Of arms in the order of their names, the `most` with most calls, ties by name, in the same order."""
    if len(arms) <= most:
        return arms
    by_calls = np.argsort(-calls[arms], kind="stable")[:most]
    return [arms[at] for at in sorted(by_calls.tolist())]


def _minute_end(alert: Alert) -> int:
    at = to_us(alert.closed_at or alert.updated_at)
    return -(-at // MINUTE_US) * MINUTE_US


def _in_order(*codes: Any) -> Iterable[int]:
    joined = np.concatenate(codes)
    _, first = np.unique(joined, return_index=True)
    ordered: list[int] = joined[np.sort(first)].tolist()
    return ordered


def _split(task_names: list[str], tasks: I64, arms: I64, minutes: Any, counts: tuple[I64, ...]) -> dict[str, _Entries]:
    return {
        name: _Entries(arms[rows], minutes[rows].astype(np.int64), tuple(c[rows] for c in counts))
        for name, rows in places(task_names, tasks).items()
    }


def _up_to(now: int | None, entries: _Entries | None, start: int) -> tuple[_Entries | None, int]:
    """The entries from number `start` on of minutes that end by `now` (None: all), None without any; and the next."""
    if entries is None:
        return None, start
    if now is None:
        stop = entries.minutes.shape[0]
    else:
        stop = int(np.searchsorted(entries.minutes, now // MINUTE_US, side="left"))
    if stop <= start:
        return None, stop
    cut = slice(start, stop)
    part = _Entries(entries.arms[cut], entries.minutes[cut], tuple(column[cut] for column in entries.counts))
    return part, stop


def _apply_alert(task: _Task, alert: Alert, now: int) -> bool:
    """Take in an alert; returns whether it concerns the task type: one on all of them only where it has such an arm."""
    arms = [
        index
        for index, (model, config) in enumerate(task.counts.arms)
        # An arm that is called later in this message is not known yet.
        if task.counts.last_call[index] != NEVER_CALLED
        and alert.model in {None, model}
        and alert.config in {None, config}
    ]
    concerns = alert.task_type != EVERY_TASK or bool(arms)
    if alert.metric != OUTCOMES or (alert.model is None and alert.config is None) or not concerns:
        if concerns and alert.state != "closed" and stops_feedback(alert):
            task.open_alerts[alert.alert_id] = alert
        else:
            task.open_alerts.pop(alert.alert_id, None)
        return concerns
    changed = now if alert.changed_at is None else to_us(alert.changed_at)
    if alert.state == "closed":
        task.open_alerts.pop(alert.alert_id, None)
        if RECOVERED not in alert.evidence:
            return True
        # The bad hours would hold back an arm that is well again; when it recovered is unknown, so the last ones stay.
        changed = now
    else:
        task.open_alerts[alert.alert_id] = alert
    since = min(changed, now - KEPT_AFTER_CHANGE_US)
    for index in arms:
        task.counts.forget_before(index, since)
        task.beside.forget_before(index, since)
    return True


def _facts(counts: list[float]) -> ArmFacts:
    resolved = counts[SUCCESSES] + counts[FAILURES]
    # Whatever outcomes share, they are one at least.
    effect = min(1 + counts[SHARED] / GRAIN / resolved, max(resolved, 1.0)) if resolved > 0 else 1.0
    return ArmFacts(counts[SUCCESSES], counts[FAILURES], effect)
