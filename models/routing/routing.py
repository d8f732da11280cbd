"""Issue recommendations: Thompson weights over what is known at an instant of event time.

Recommendations follow from closed minutes and alerts alone, never from how these were cut into messages: evidence is
summed in integers per hour, and every issue happens at an instant that the minutes themselves determine.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from datetime import timedelta
from typing import Any, ClassVar

import numpy as np

from aftercall.records import Alert, Recommendation
from aftercall.times import MINUTE_US, NEVER, to_datetime, to_us
from aftercall.vocabulary import CONTRACT, EVERY_TASK, OTHER
from models.arrays import F64, I64
from models.messages import Closed, Group, Restart
from models.routing.acts import apply_alert, apply_restart, note
from models.routing.arm_counts import (
    CALLED,
    FAILURES,
    SHARED,
    SUCCESSES,
    ArmCounts,
)
from models.routing.beside import NO_FEED, Beside
from models.routing.dated_counts import DatedCounts
from models.routing.evidence import Evidence, evidence, memory
from models.routing.facts import ArmFacts
from models.routing.issued import Issued
from models.routing.migrations import with_counts_of_calls, with_dated_counts, with_shared_outcomes
from models.routing.news import NO_NEWS, Cursor, Entries, News, by_task, up_to
from models.routing.presence import Presence
from models.routing.recommendation import decide
from models.routing.settings import RoutingSettings
from models.routing.task import Task
from models.routing.task_delays import TaskDelays
from models.routing.wanted import TaskRouting
from models.state import Migrations
from models.stats.dispersion import GRAIN

__all__ = ["Routing", "RoutingSettings", "TaskRouting"]

NO_ARM = -1
"""Index of a pinned arm that was never called."""


_ROWS = {"trials": (SUCCESSES, FAILURES, CALLED), "shared": (SHARED,)}
"""Which rows of `ArmCounts` these columns of `News` are."""


class Routing:
    """Turns closed minutes and alerts into recommendations; one object for all task types."""

    STATE_VERSION: ClassVar = 4
    MIGRATIONS: ClassVar[Migrations] = {1: with_counts_of_calls, 2: with_shared_outcomes, 3: with_dated_counts}

    def __init__(self, settings: RoutingSettings) -> None:
        self.settings = settings
        self._tasks: dict[str, Task] = {}
        self._through = NEVER

    def close(self, closed: Closed, alerts: list[Alert], restarts: Sequence[Restart] = ()) -> list[Recommendation]:
        """Take in the minutes that have closed and the alerts they raised.

        Args:
            closed: what happened in these minutes; see `models.messages.Closed`.
            alerts: of these minutes, in order.
            restarts: changes of arms in these minutes that routing acts on, be they alerted or not.

        Returns:
            Recommendations by (issued_at, task_type): per task type at a multiple of `every_us` where weights have
            moved by `MATTERS`, a status or what is degraded has changed, or half the life of the last one is over; and
            at the end of every minute with an alert of that task type.
        """
        declared = any(task.segments for task in self.settings.tasks.values())
        news, fed = by_task(closed, self._number, with_segments=declared)
        end = max(closed.through * MINUTE_US, self._through)
        acts_by_task: dict[str, list[tuple[int, Alert | Restart]]] = {}
        for alert in alerts:
            if alert.kind == CONTRACT:
                continue  # what of it counts for routing is in the success rate
            names = [alert.task_type] if alert.task_type != EVERY_TASK else list(self._tasks)
            for name in names:
                at = min(max(_minute_end(alert), self._through), end)
                acts_by_task.setdefault(name, []).append((at, alert))
        for restart in restarts:
            at = min(max(restart.at, self._through), end)
            acts_by_task.setdefault(restart.group[0], []).append((at, restart))
        # Task types without news may still owe what they learned earlier in the hour.
        owing = (name for name, task in self._tasks.items() if NEVER < task.next <= end)
        issued: list[Recommendation] = []
        for name in sorted({*news, *fed, *acts_by_task, *owing} - {OTHER}):
            task = self._task(name)
            task.beside.feed(fed.get(name, NO_FEED))
            issued += self._advance(name, task, news.get(name, NO_NEWS), acts_by_task.get(name, []), end)
        self._through = end
        issued.sort(key=lambda issue: (issue.issued_at, issue.task_type))
        return issued

    def _task(self, name: str) -> Task:
        task = self._tasks.get(name)
        if task is None:
            wanted = self.settings.tasks.get(name, TaskRouting())
            task = self._tasks[name] = Task(self.settings.memory_us, wanted)
        return task

    def _number(self, groups: list[Group]) -> list[int]:
        """The arms' numbers within their task types."""
        numbers, tasks = [], set()
        for name, model, config in groups:
            tasks.add(name)
            numbers.append(self._task(name).counts.index_of((model, config)))
        for name in tasks:
            self._tasks[name].counts.make_room()
        return numbers

    def _advance(
        self, name: str, task: Task, news: News, acts: list[tuple[int, Alert | Restart]], end: int
    ) -> Iterator[Recommendation]:
        acts.sort(key=lambda dated: dated[0])
        cursor = Cursor()
        instants = deque(self._instants(news, acts))
        while True:
            now = min([*list(instants)[:1], *([task.next] if task.next > NEVER else [])], default=end + 1)
            if now > end:
                break
            while instants and instants[0] <= now:
                instants.popleft()
            self._read_up_to(now, task, news, cursor)
            task.beside.advance(now)
            alerted = acted = False
            while cursor.acts < len(acts) and acts[cursor.acts][0] <= now:
                act = acts[cursor.acts][1]
                if isinstance(act, Alert):
                    alerted |= apply_alert(task, act, now)
                else:
                    acted |= apply_restart(task, act, now)
                cursor.acts += 1
            if alerted or acted or NEVER < task.next <= now:
                task.due = task.beat = NEVER
                recommendation = self._weigh(name, task, now, alerted=alerted)
                if recommendation is not None:
                    yield recommendation
        self._read_up_to(None, task, news, cursor)
        task.beside.advance(None)

    def _instants(self, news: News, acts: list[tuple[int, Any]]) -> list[int]:
        instants = {at for at, _ in acts}
        if news.trials is not None:
            instants.update(np.unique(self._boundary(news.trials.minutes)).tolist())
        return sorted(instants)

    def _boundary(self, minutes: I64) -> I64:
        """The first multiple of `every` at or after the end of each minute."""
        every = self.settings.every_us
        boundary: I64 = -(-((minutes + 1) * MINUTE_US) // every) * every
        return boundary

    def _read_up_to(self, now: int | None, task: Task, news: News, cursor: Cursor) -> None:
        """Read on up to the minutes that end by `now`; hour by hour, because sums by arrival share the open hour."""
        parts: list[tuple[Entries, tuple[int, ...]]] = []
        for kind, (of, entries) in enumerate(zip(News._fields, news, strict=True)):
            part, cursor.read[kind] = up_to(now, entries, cursor.read[kind])
            if part is None:
                continue
            if of in _ROWS:
                parts.append((part, _ROWS[of]))
            if of == "trials":
                called = part.counts[2] > 0
                task.counts.record_calls(part.arms[called], part.minutes[called])
                task.presence.add(part.arms, part.counts[2], len(task.counts.arms))
                if task.due == NEVER:
                    task.due = int(self._boundary(part.minutes[:1])[0])
            elif of == "dated":
                quarters, calls = part.counts[0], part.counts[3]
                task.dated.add(part.arms, quarters, part.counts[1:])
                task.delays.add_calls(part.minutes, quarters, calls)
            elif of == "delays":
                task.delays.add(part.minutes, *part.counts)
        for hour in sorted({hour for part, _ in parts for hour in np.unique(part.minutes // 60).tolist()}):
            for part, rows in parts:
                cut = slice(*np.searchsorted(part.minutes, [hour * 60, hour * 60 + 60]).tolist())
                if cut.start < cut.stop:
                    counts = tuple(column[cut] for column in part.counts)
                    task.counts.add(part.arms[cut], part.minutes[cut], rows, counts)

    def _weigh(self, name: str, task: Task, now: int, *, alerted: bool) -> Recommendation | None:
        """The recommendation of this instant, where it matters."""
        wanted = self.settings.tasks.get(name, TaskRouting())
        counts = task.counts.at(now)
        gone = self._gone(task, counts[CALLED], now)
        in_use = [arm for arm in task.counts.in_use(now, also=gone) if gone.get(arm, True)]
        competing = _most_called(in_use, counts[CALLED], self.settings.max_arms)
        found = self._evidence(task, now, len(in_use))
        arms = {
            task.counts.arms[arm]: _facts(counts[:, arm].tolist(), found, arm)._replace(
                uses=uses, retired=arm in gone, note=note(task, arm, now)
            )
            for arm, uses in zip(competing, task.beside.uses(now, competing), strict=True)
        }
        if wanted.pinned is not None:
            arms.setdefault(wanted.pinned, ArmFacts())
        if not arms:
            return None
        index = dict(zip((task.counts.arms[one] for one in competing), competing, strict=True))
        shares = task.beside.shares(now, [index.get(arm, NO_ARM) for arm in sorted(arms)])
        alerts = list(task.open_alerts.values())
        floor, least = self.settings.floor, self.settings.min_evidence
        before = {} if task.last is None else task.last.weights
        decision = decide(arms, alerts, wanted, floor, least, before, shares, name)
        latest = Issued.of(now, decision)
        if not alerted and task.last is not None and not latest.matters_after(task.last, self.settings.valid_for_us):
            task.beat = max(now + 1, task.last.again_at(self.settings.valid_for_us, self.settings.every_us))
            return None
        task.last = latest
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

    def _gone(self, task: Task, called: F64, now: int) -> dict[int, bool]:
        """Arms that are retired, and whether they are still listed."""
        last = {} if task.last is None else task.last.weights.get(None, {})
        weights = {arm: last.get(name, 0.0) for arm, name in enumerate(task.counts.arms)}
        shares = called / max(called.sum(), 1.0)
        ended = (task.counts.last_call + 1) * MINUTE_US
        task.presence.weigh(now, weights, shares, ended, self.settings.retire_after_us)
        return task.presence.gone(now)

    def _evidence(self, task: Task, now: int, in_use: int) -> Evidence:
        bins = task.dated.bins(now)
        lasting = memory(bins, in_use, now, self.settings.memory_us)
        return evidence(bins, len(task.counts.arms), now, lasting, task.delays.shares(now))

    def state(self) -> dict[str, Any]:
        """Everything needed to go on elsewhere; not a copy."""
        tasks = {
            name: {
                "evidence": task.counts.state(),
                "beside": task.beside.state(),
                "open_alerts": [alert.model_dump(mode="json") for alert in task.open_alerts.values()],
                "dated": task.dated.state(self._through),
                "delays": task.delays.state(self._through),
                "presence": task.presence.state(),
                "restarted": task.restarted,
                "found": task.found,
                "last": None if task.last is None else tuple(task.last),
                "seq": task.seq,
                "due": task.due,
                "beat": task.beat,
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
            task.beside = Beside(settings.memory_us, settings.tasks.get(name, TaskRouting()), stored["beside"])
            task.counts = ArmCounts.from_state(stored["evidence"], settings.memory_us)
            task.open_alerts = {alert["alert_id"]: Alert.model_validate(alert) for alert in stored["open_alerts"]}
            task.dated = DatedCounts.from_state(stored["dated"])
            task.delays = TaskDelays.from_state(stored["delays"])
            task.presence = Presence(stored.get("presence"))
            task.restarted, task.found = dict(stored["restarted"]), dict(stored.get("found", {}))
            task.last = None if stored["last"] is None else Issued(*stored["last"])
            task.seq, task.due, task.beat = stored["seq"], stored["due"], stored["beat"]
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


def _facts(counts: list[float], found: Evidence, arm: int) -> ArmFacts:
    arrived = counts[SUCCESSES] + counts[FAILURES]
    # Whatever outcomes share, they are one at least.
    effect = min(1 + counts[SHARED] / GRAIN / arrived, max(arrived, 1.0)) if arrived > 0 else 1.0
    successes, failures, share = (float(of[arm]) for of in found[:3])
    return ArmFacts(successes, failures, effect / share)
