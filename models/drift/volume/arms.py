"""Detect arms whose calls get no answer while those of their siblings do: a config that no feedback reaches.

What is due of an arm, (task_type, model, config), is what the other arms of its task type get at the same time: of
their calls that reach an age in an hour a share is answered there, and the arm's own calls of that age are due the
same. So nights, batches and reviewers cancel out, and no rhythm is to be learned. An arm is mute once `LEAST_DUE`
answers were due and none has ever come; one that has been answered goes silent where as many are due by its own share,
and the silence is `_TIMES` as long as its longest and a day more. No promise is made. Where fewer are answered than
before, but some, see `arm_answers.py`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any, Final, NamedTuple

import numpy as np

from aftercall.times import HOUR_US, HOURS_PER_DAY
from aftercall.vocabulary import RESERVED_SOURCES
from models.alarms.alarm import Alarm, VolumeChange
from models.alarms.digits import rounded
from models.alarms.open_alarms import OpenAlarms
from models.arrays import F64
from models.columns.struct_of_arrays import StructOfArrays
from models.drift.settings import DriftSettings
from models.drift.volume.arm_answers import ArmAnswers
from models.drift.volume.expected_responses import AGES, RecentCalls
from models.messages import Closed, Group
from models.stats.minute_delays import BUCKETS

LEAST_DUE: Final = 30.0
_TIMES: Final = 3
MOST_ARMS: Final = 4096
"""Arms that are watched; those that come later are not."""
_MINUTES: Final = 60
_FORGOTTEN: Final = 28 * HOURS_PER_DAY


class _Arms(NamedTuple):
    """Columns of shape (arms,); their names are keys of the stored state."""

    due: F64
    seen: F64
    calls: F64
    since: F64
    """Due since the last answer."""
    last: F64
    """Hour of the last answer, at first that of the first call."""
    longest: F64
    """Hours between two answers."""
    last_call: F64
    """Hour of it."""
    mute: F64
    """1 while it has an alarm."""


class MuteArms:
    """Watches all arms; 6.5 kB each. What comes out does not depend on how minutes are cut into calls of `close`."""

    def __init__(self, settings: DriftSettings, state: dict[str, Any] | None = None) -> None:
        """Start fresh, or from the `state()` of another instance."""
        kept: dict[str, Any] = state or {}
        self._names: list[Group] = list(kept.get("names", ()))
        self._recent = RecentCalls(kept.get("recent"))
        none = np.zeros(0)
        self._rows = StructOfArrays(_Arms(*(kept.get(name, none) for name in _Arms._fields)))
        self._alarms = OpenAlarms(settings.new_normal_after_us, kept.get("book"))
        self._answers = ArmAnswers(settings, kept.get("answers"))  # earlier versions did not watch parts
        self._next: int | None = kept.get("next")
        self._called: dict[int, dict[Group, int]] = kept.get("called", {})
        self._stated: dict[int, dict[Group, F64]] = kept.get("stated", {})

    def close(self, closed: Closed, alarms: Sequence[Alarm] = ()) -> list[Alarm]:
        """See `Detector`; hours are looked at once they are complete."""
        raised = list(alarms)
        self._count(closed)
        end = closed.through // _MINUTES
        waiting = [*self._called, *self._stated]
        if self._next is None and waiting:
            self._next = min(waiting)
        while self._next is not None and self._next < end:
            raised += self._advance_hour(self._next)
            self._next += 1
        return raised

    def state(self) -> dict[str, Any]:
        """Plain values and arrays; not a copy."""
        return {
            "names": self._names,
            "recent": self._recent.calls,
            **self._rows.columns._asdict(),
            "book": self._alarms.state(),
            "answers": self._answers.state(),
            "next": self._next,
            "called": self._called,
            "stated": self._stated,
        }

    def _count(self, closed: Closed) -> None:
        called = Counter[tuple[int, Group]]()
        for table, counts, sign in (
            (closed.trials, closed.trials.calls, 1),
            (closed.attempts, closed.attempts.count, -1),
        ):
            rows = zip(table.code.tolist(), (table.minute // _MINUTES).tolist(), counts.tolist(), strict=True)
            for code, hour, count in rows:
                called[hour, closed.names[code]] += sign * count
        for (hour, name), count in called.items():
            if count:
                calls = self._called.setdefault(hour, {})
                calls[name] = calls.get(name, 0) + count
        said = closed.responses
        columns = (said.minute // _MINUTES, said.code, said.source, said.bucket, said.statements)
        for hour, code, source, bucket, count in zip(*(column.tolist() for column in columns), strict=True):
            if count and closed.sources[source] not in RESERVED_SOURCES:
                of_hour = self._stated.setdefault(hour, {})
                of_hour.setdefault(closed.names[code], np.zeros(BUCKETS))[bucket] += count

    def _advance_hour(self, hour: int) -> list[Alarm]:
        called, stated = self._called.pop(hour, {}), self._stated.pop(hour, {})
        self._begin(sorted(called), hour)
        if not self._names:
            return []
        calls = np.array([float(called.get(name, 0)) for name in self._names])
        nothing = np.zeros(BUCKETS)
        answered = np.stack([stated.get(name, nothing) for name in self._names])
        c = self._rows.columns
        passed = self._recent.step(calls)
        due = self._due(answered[:, :AGES], passed)
        c.calls[:] += calls
        c.last_call[calls > 0] = hour
        heard = answered.sum(axis=1)
        some = heard > 0
        np.maximum(c.longest, hour - c.last, out=c.longest, where=some & (c.seen > 0))
        c.due[:] += due
        c.since[:] = np.where(some, 0.0, c.since + due)
        c.seen[:] += heard
        c.last[some] = hour
        found = self._found(hour, some)
        found += self._answers.advance_hour(hour, answered, passed, self._recent.calls, due, c.mute > 0)
        self._forget(hour)
        return found

    def _due(self, answered: F64, passed: F64) -> F64:
        """Answers due of each arm by those that the others of its task type get."""
        tasks, place = np.unique(np.array([name[0] for name in self._names], np.object_), return_inverse=True)
        place = place.ravel()
        sums = np.zeros((2, len(tasks), AGES))
        np.add.at(sums[0], place, answered)
        np.add.at(sums[1], place, passed)
        others, of_others = sums[0][place] - answered, sums[1][place] - passed
        shares = np.where(of_others > 0, others / np.maximum(of_others, 1e-9), 0.0)
        due: F64 = (np.minimum(shares, 1.0) * passed).sum(axis=1)
        return due

    def _found(self, hour: int, some: Any) -> list[Alarm]:
        c = self._rows.columns
        at = (hour + 1) * HOUR_US
        self._alarms.expire(at)
        share = np.where(c.seen > 0, c.seen / np.maximum(c.due - c.since, 1.0), 1.0)
        long = (c.seen == 0) | (hour - c.last > _TIMES * c.longest + HOURS_PER_DAY)
        gone = (c.mute == 0) & ~self._answers.fallen & ~some & long & (c.since * np.minimum(share, 1.0) >= LEAST_DUE)
        back = (c.mute > 0) & some
        alarms = [self._alarm(row, at, over=False) for row in np.flatnonzero(gone).tolist()]
        alarms += [self._alarm(row, at, over=True) for row in np.flatnonzero(back).tolist()]
        c.mute[gone], c.mute[back] = 1.0, 0.0
        return alarms

    def _alarm(self, row: int, at: int, *, over: bool) -> Alarm:
        c = self._rows.columns
        due = max(float(c.since[row]), 1.0)
        usual = float(min(c.due[row] / max(c.calls[row], 1.0), 1.0))
        alarm = Alarm(
            at=at,
            series=("volume", self._names[row], "responses"),
            direction="up" if over else "down",
            baseline=usual,
            current=usual if over else 0.0,
            effect_low=-usual,
            effect_high=0.0,
            changed_at=int(c.last[row]) * HOUR_US,
            promise=None,
            evidence=rounded({"seen": 0.0, "expected": due}),
            details=VolumeChange(0.0, due, "statements per call"),
        )
        return self._alarms.add(alarm, (usual,))

    def _begin(self, called: list[Group], hour: int) -> None:
        self._answers.add(self._names[len(self._answers) :], hour)
        known = set(self._names)
        fresh = [name for name in called if name not in known][: MOST_ARMS - len(known)]
        if fresh:
            self._names += fresh
            self._recent.add(len(fresh))
            self._answers.add(fresh, hour)
            none, now = np.zeros(()), np.array(float(hour))
            self._rows.append(len(fresh), _Arms(none, none, none, none, now, none, now, none))

    def _forget(self, hour: int) -> None:
        kept = hour - self._rows.columns.last_call < _FORGOTTEN
        if not kept.all():
            self._names = [name for name, stays in zip(self._names, kept.tolist(), strict=True) if stays]
            self._rows.keep(kept)
            self._answers.keep(kept)
            self._recent.calls = self._recent.calls[kept]
