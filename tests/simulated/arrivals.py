"""Simulated calls and statements on them, by the minute, and the detector of their numbers that reads them."""

from __future__ import annotations

from itertools import pairwise
from typing import NamedTuple

import numpy as np

from models.alarms.alarm import Alarm
from models.arrays import F64, I64
from models.drift.settings import DriftSettings
from models.drift.volume.volume import Volume
from models.messages import NO_VALUES, Closed, Responses, TrialDeltas
from models.stats.minute_delays import bucket_of

DAY = 1440
START = 20_139 * DAY
"""A Thursday."""


class Traffic(NamedTuple):
    """Calls per minute of each task, and statements (task, minute, delay), minutes after START."""

    calls: I64
    statements: I64

    def closed(self, begin: int, end: int) -> Closed:
        """What closes between two minutes."""
        tasks, minute = np.nonzero(self.calls[:, begin:end])
        count, zero = self.calls[tasks, begin + minute].astype(np.int32), np.zeros(len(tasks), np.int32)
        trials = TrialDeltas(
            tasks.astype(np.int32), (START + begin + minute).astype(np.int32), zero, zero, zero, zero, count
        )
        first, last = np.searchsorted(self.statements[1], [begin, end])
        task, at, delay = self.statements[:, first:last].astype(np.int32)
        one = np.ones(len(task), np.int32)
        responses = Responses(task, START + at, 0 * one, one.astype(np.int8), bucket_of(delay), one, one)
        names = [(f"task-{i:02}", "m", "c") for i in range(len(self.calls))]
        return Closed(START + end, names, trials, NO_VALUES, ("human_review",), responses=responses)

    def without(self, task: int, after: int) -> Traffic:
        """Without the statements about this task's calls from then on."""
        kept = (self.statements[0] != task) | (self.statements[1] < after)
        return self._replace(statements=self.statements[:, kept])


def working(days: int, night: float, weekend: float) -> F64:
    """Relative traffic by the minute: full from 8 to 20 UTC on five days."""
    minute = START + np.arange(days * DAY)
    awake = (minute // 60 % 24 >= 8) & (minute // 60 % 24 < 20)
    return np.where(awake, 1.0, night) * np.where((minute // DAY + 3) % 7 >= 5, weekend, 1.0)


def traffic(
    profile: F64,
    per_hour: float = 60.0,
    tasks: int = 4,
    *,
    people: bool = False,
    seed: int = 1,
    days_differ: float = 0.0,
) -> Traffic:
    """Half the calls get a statement, half an hour later on the median; by `people` only when they work, 9 to 18."""
    rng, length = np.random.default_rng(seed), len(profile)
    daily = np.ones((tasks, length // DAY))
    if days_differ:
        daily = rng.gamma(1 / days_differ**2, days_differ**2, daily.shape)
    calls = rng.poisson(per_hour / 60 * profile * np.repeat(daily, DAY, axis=1))
    task, at = (np.repeat(each, calls.ravel()) for each in np.indices(calls.shape).reshape(2, -1))
    answered = rng.random(len(at)) < 0.5
    task, at = task[answered], at[answered]
    stated = at + np.exp(rng.normal(np.log(30), 1.2, len(at))).astype(np.int64)
    if people:
        minute = START + np.arange(length)
        hour = minute // 60 % 24
        (there,) = ((hour >= 9) & (hour < 18) & ((minute // DAY + 3) % 7 < 5)).nonzero()
        place = np.searchsorted(there, stated)
        stated = np.append(there, length)[place]
    known = stated < length
    order = np.argsort(stated[known], kind="stable")
    return Traffic(calls, np.stack((task, stated, stated - at))[:, known][:, order])


def run(stream: Traffic, cuts: list[int] | None = None, volume: Volume | None = None) -> list[Alarm]:
    bounds = range(0, stream.calls.shape[1] + 1, DAY) if cuts is None else cuts
    volume = volume or Volume(DriftSettings())
    return [alarm for begin, end in pairwise(bounds) for alarm in volume.close(stream.closed(begin, end))]
