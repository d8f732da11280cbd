"""Measures how soon it is noticed that a source answers a part of the calls that it did, and how often for nothing.

python -m benchmarks.detection.answers
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final, NamedTuple

import numpy as np

from models.alarms.alarm import Alarm
from models.arrays import F64, I64
from models.drift import DriftSettings, Volume
from models.messages import NO_VALUES, Closed, Responses, TrialDeltas
from models.stats.minute_delays import bucket_of

DAY: Final = 1440
START: Final = 20_139 * DAY
"""A Thursday, in minutes since 1970."""
TASKS, DAYS = 40, 38
FALL: Final = 24 * DAY + 300
LEFT: Final = (0.25, 0.35, 0.5, 0.6)
_BUSY: Final = 3.0
_SEED: Final = 7
_QUIET_DAYS: Final = 56


class Stream(NamedTuple):
    """How calls come and are answered: `nights` have a fifth of the calls; the share of a day differs by `days`."""

    name: str
    nights: bool
    days: float


STREAMS: Final = (
    Stream("steady", False, 0.0),
    Stream("day and night", True, 0.0),
    Stream("days differ by .2", False, 0.2),
    Stream("days differ by .35", False, 0.35),
)


class Traffic(NamedTuple):
    """Calls per minute, shape (tasks, minutes); statements as (task, minute, delay) in order; answers an hour."""

    calls: I64
    statements: I64
    answers: F64

    def closed(self) -> Iterator[Closed]:
        """One day after another."""
        names = [(f"task-{i:02}", "m", "c") for i in range(len(self.calls))]
        for begin in range(0, self.calls.shape[1], DAY):
            tasks, minute = np.nonzero(self.calls[:, begin : begin + DAY])
            counts, zero = self.calls[tasks, begin + minute].astype(np.int32), np.zeros(len(tasks), np.int32)
            at = (START + begin + minute).astype(np.int32)
            trials = TrialDeltas(tasks.astype(np.int32), at, zero, zero, zero, zero, counts)
            first, last = np.searchsorted(self.statements[1], [begin, begin + DAY])
            task, stated, delay = self.statements[:, first:last].astype(np.int32)
            one = np.ones(len(task), np.int32)
            said = Responses(task, START + stated, 0 * one, one.astype(np.int8), bucket_of(delay), one, one)
            yield Closed(START + begin + DAY, names, trials, NO_VALUES, ("user_feedback",), responses=said)


def drawn(stream: Stream, days: int, seed: int, left: float = 1.0) -> Traffic:
    """2 to 60 calls an hour, of which 8 to 60 % are answered, `left` of that from FALL on."""
    rng, minute = np.random.default_rng(seed), np.arange(days * DAY)
    night = (minute // 60 % 24 < 8) | (minute // 60 % 24 >= 20)
    hourly = np.exp(rng.uniform(np.log(2), np.log(60), TASKS))
    share = np.exp(rng.uniform(np.log(0.08), np.log(0.6), TASKS))
    calls = rng.poisson(hourly[:, None] / 60 * np.where(night & stream.nights, 0.2, 1.0))
    task, at = (np.repeat(each, calls.ravel()) for each in np.indices(calls.shape).reshape(2, -1))
    shape = 1 / stream.days**2 if stream.days else np.inf
    daily = rng.gamma(shape, 1 / shape, (TASKS, days)) if stream.days else np.ones((TASKS, days))
    answered = rng.random(len(at)) < share[task] * daily[task, at // DAY] * np.where(at >= FALL, left, 1.0)
    task, at = task[answered], at[answered]
    median = np.exp(rng.uniform(np.log(10), np.log(600), TASKS))[task]
    stated = at + np.exp(rng.normal(np.log(median), 1.2)).astype(np.int64)
    known = stated < days * DAY
    order = np.argsort(stated[known], kind="stable")
    return Traffic(calls, np.stack((task, stated, stated - at))[:, known][:, order], hourly * share)


def fewer(traffic: Traffic, promise: float = 1.0) -> list[Alarm]:
    """First alarms on answers."""
    volume = Volume(DriftSettings(false_alarms_per_1000_groups_per_week=promise))
    found = [alarm for closed in traffic.closed() for alarm in volume.close(closed)]
    return [alarm for alarm in found if alarm.series[2].startswith("responses:") and alarm.ends is None]


def _hours(traffic: Traffic) -> F64:
    """From the fall to the alarm, of tasks with `_BUSY` answers an hour and more; inf where there is none."""
    first = np.full(TASKS, np.inf)
    for alarm in fewer(traffic):
        row, hours = int(alarm.series[1][0][-2:]), alarm.at / 3.6e9 - (START + FALL) / 60
        first[row] = min(first[row], hours) if hours > 0 else first[row]
    busy: F64 = first[traffic.answers >= _BUSY]
    return busy


def main() -> None:
    """Print one line per stream."""
    for stream in STREAMS:
        quiet = drawn(stream, _QUIET_DAYS, 1)
        false = [len(fewer(quiet, promise)) for promise in (1.0, 30.0)]
        cells = []
        for left in LEFT:
            hours = _hours(drawn(stream, DAYS, _SEED, left))
            cells.append(f"{left}: {np.isfinite(hours).sum()} of {len(hours)}, median {np.median(hours):.0f} h")
        print(f"{stream.name}: false alarms at 1 and at 30 {false}; found, {'; '.join(cells)}", flush=True)


if __name__ == "__main__":
    main()
