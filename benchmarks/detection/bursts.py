"""Measures the promise and the delays where outcomes come in bursts, many of one source within a minute, without units.

Minutes are fed to the detector of success rates as the group step would send them, with the warm-up of three days that
is the default. Each stream is watched as shipped, with one outcome of each burst, and with each outcome in full, that
is without knowing whose outcomes they are.
"""

from __future__ import annotations

from typing import Any, Final, NamedTuple

import numpy as np

from aftercall.times import HOUR_US, MINUTE_US, MINUTES_PER_DAY
from benchmarks.detection.promise import poisson_upper
from models.alarms.alarm import Alarm, by_time
from models.arrays import I64, Bools
from models.columns.group_sums import runs_of
from models.drift import DriftSettings, SuccessRateDetector
from models.messages import NO_SLICES, NO_VALUES, Closed, Group, SliceTrials, TrialDelays, TrialDeltas

PROMISE: Final = 50.0
"""False alarms per 1,000 groups and week that are asked for: so many that a few weeks show whether it is kept."""
WAYS: Final = ("shipped", "once", "in full")
START: Final = 20_412 * MINUTES_PER_DAY
FAILING: Final = 0.12
_SEED: Final = 41
_GROUPS: Final = 6
"""Models of a task type."""
_FEWER: Final = 10
"""So many times fewer groups where each outcome counts in full: they alarm again and again."""


class Stream(NamedTuple):
    """So many bursts a day and group, of so many outcomes, of which a part `shared` has one verdict.

    `at`: minute of the day at which they come, None: at any. `single`: outcomes a day that come one by one beside them.
    """

    name: str
    per_day: float
    sizes: tuple[int, int]
    shared: float
    at: int | None = None
    single: float = 0.0


STREAMS: Final = (
    Stream("12 bursts a day of 5 to 50, all agree", 12, (5, 50), 1.0),
    Stream("12 bursts a day of 5 to 50, 70 % agree", 12, (5, 50), 0.7),
    Stream("12 bursts a day of 5 to 50, 50 % agree", 12, (5, 50), 0.5),
    Stream("10 bursts a day of 5, all agree", 10, (5, 5), 1.0),
    Stream("10 bursts a day of 5, 50 % agree", 10, (5, 5), 0.5),
    Stream("bursts of 30, one in five days, beside 60 a day", 0.2, (30, 30), 1.0, single=60),
    Stream("12 bursts a day of 5 to 50, none agrees", 12, (5, 50), 0.0),
    Stream("a judge of 500 each night", 1, (500, 500), 0.0, at=120),
    Stream("300 a day, one by one", 0, (1, 1), 0.0, single=300),
    Stream("5,000 a day, one by one", 0, (1, 1), 0.0, single=5000),
)


class Trials(NamedTuple):
    """Outcomes by minute; of shape (rows,). `burst`: -1 where it came alone."""

    minute: I64
    group: I64
    burst: I64
    failed: Bools

    def part(self, rows: I64 | slice) -> Trials:
        """Some of them."""
        columns: tuple[Any, ...] = tuple(column[rows] for column in self)
        return Trials(*columns)


class Size(NamedTuple):
    """Task types of six groups, and weeks, of the promise; task types of the delays."""

    tasks: int
    weeks: int
    changing: int


def table(size: Size) -> list[dict[str, Any]]:
    """A row per stream and way: alarms of groups over those promised, and the median hours until a drop is found."""
    return [row(number, stream, way, size) for number, stream in enumerate(STREAMS) for way in WAYS]


def drawn(
    stream: Stream, rng: np.random.Generator, groups: int, days: int, drop: tuple[int, float] = (0, 0.0)
) -> Trials:
    """Outcomes of `days` days; from day `drop[0]` on failures are more by `drop[1]`."""
    shape = (days, groups)
    count = np.ones(shape, np.int64) if stream.at is not None else rng.poisson(stream.per_day, shape)
    day, group = (np.repeat(each.ravel(), count.ravel()) for each in np.indices(shape))
    at = np.full(len(day), stream.at) if stream.at is not None else rng.integers(0, MINUTES_PER_DAY, len(day))
    sizes = rng.integers(stream.sizes[0], stream.sizes[1] + 1, len(day))
    alone = rng.poisson(stream.single, shape)
    day_alone, group_alone = (np.repeat(each.ravel(), alone.ravel()) for each in np.indices(shape))
    burst = np.concatenate((np.arange(len(day)).repeat(sizes), np.full(len(day_alone), -1)))
    group = np.concatenate((group.repeat(sizes), group_alone))
    day = np.concatenate((day.repeat(sizes), day_alone))
    within = np.concatenate((at.repeat(sizes), rng.integers(0, MINUTES_PER_DAY, len(day_alone))))
    levels = (
        np.clip(rng.beta(25 * FAILING, 25 * (1 - FAILING), groups), 0.02, 0.6)
        if not drop[1]
        else np.full(groups, FAILING)
    )
    failing = levels[group] + drop[1] * (day >= drop[0])
    own = rng.random(len(day)) < failing
    one = rng.random(len(sizes))[np.maximum(burst, 0)] < failing if len(sizes) else own
    failed = np.where((burst >= 0) & (rng.random(len(day)) < stream.shared), one, own)
    minute = day * MINUTES_PER_DAY + within
    order = np.argsort(minute, kind="stable")
    return Trials(START + minute, group, burst, failed).part(order)


def closed(trials: Trials, names: list[Group], through: int, *, known: bool) -> Closed:
    """What the group step would send; `known`: whose outcomes they are."""
    order, starts = runs_of((trials.minute, trials.group))
    failures, count = np.add.reduceat(trials.failed[order].astype(np.int32), starts), np.diff([*starts, len(order)])
    code, minute = (column[order[starts]].astype(np.int32) for column in (trials.group, trials.minute))
    none, count = np.zeros(len(code), np.int32), count.astype(np.int32)
    deltas = TrialDeltas(code, minute, count - failures, failures, none, none, count)
    order, starts = runs_of((trials.minute, trials.group, ~trials.failed))
    first = order[starts]
    said = trials.group[first].astype(np.int32), trials.minute[first].astype(np.int32)
    success, count = (~trials.failed[first]).astype(np.int8), np.diff([*starts, len(order)]).astype(np.int32)
    none = np.zeros(len(first), np.int32)
    # Verdicts come with their calls.
    delays = TrialDelays(*said, success, none.astype(np.int16), count)
    slices = SliceTrials(*said, none, success, count) if known else NO_SLICES
    return Closed(through, names, deltas, NO_VALUES, ("user_feedback",), delays=delays, slices=slices)


def alarms(trials: Trials, groups: int, days: int, way: str, promise: float) -> list[Alarm]:
    """All that the detector raises on groups, from a fresh start; by time."""
    if way == "once":
        _, first = np.unique(trials.burst, return_index=True)
        lone = np.flatnonzero(trials.burst < 0)
        trials = trials.part(np.union1d(first[trials.burst[first] >= 0], lone))
    names = [(f"task-{row // _GROUPS:04d}", f"model-{row % _GROUPS}", "v1") for row in range(groups)]
    settings = DriftSettings(false_alarms_per_1000_groups_per_week=promise)
    detector, raised = SuccessRateDetector(settings), list[Alarm]()
    for day in range(days):
        begin = START + day * MINUTES_PER_DAY
        some = slice(*np.searchsorted(trials.minute, (begin, begin + MINUTES_PER_DAY)).tolist())
        part = trials.part(some)
        if len(part.minute):
            raised += detector.close(closed(part, names, begin + MINUTES_PER_DAY, known=way == "shipped"))
    return sorted((alarm for alarm in raised if alarm.series[1][2] is not None), key=by_time)


def row(number: int, stream: Stream, way: str, size: Size) -> dict[str, Any]:
    """One row of the table."""
    busy = stream.per_day * sum(stream.sizes) / 2 + stream.single
    tasks = max(1, round(size.tasks * min(1.0, 100 / busy) / (_FEWER if way == "in full" else 1)))
    groups, days = tasks * _GROUPS, size.weeks * 7
    trials = drawn(stream, np.random.default_rng([_SEED, number]), groups, days)
    raised = alarms(trials, groups, days, way, PROMISE)
    firsts = {(alarm.series[1], alarm.direction): alarm for alarm in reversed(raised)}
    week = (START + 7 * MINUTES_PER_DAY) * MINUTE_US
    allowed = 2 * groups * size.weeks / DriftSettings(false_alarms_per_1000_groups_per_week=PROMISE).threshold
    return {
        "stream": stream.name,
        "way": way,
        "promised": allowed,
        "drops": sum(alarm.direction == "down" for alarm in firsts.values()),
        "rises": sum(alarm.direction == "up" for alarm in firsts.values()),
        "of_first_week": sum(alarm.at <= week for alarm in firsts.values()),
        "ratio": len(firsts) / allowed,
        "upper": poisson_upper(len(firsts)) / allowed,
        "delay_h": None if way == "in full" and stream.shared else delay(number, stream, way, size.changing),
    }


def delay(number: int, stream: Stream, way: str, tasks: int) -> float | None:
    """Median hours, at the default promise, until groups alarm for a drop of 20 points after three weeks."""
    busy = stream.per_day * sum(stream.sizes) / 2 + stream.single
    groups, days, change = max(1, round(tasks * min(1.0, 100 / busy))) * _GROUPS, 42, 21
    trials = drawn(stream, np.random.default_rng([_SEED, 100 + number]), groups, days, (change, 0.2))
    begin = (START + change * MINUTES_PER_DAY) * MINUTE_US
    hours = np.full(groups, np.inf)
    found: dict[Any, float] = {}
    for alarm in alarms(trials, groups, days, way, 1.0):
        if alarm.direction == "down" and alarm.at > begin:
            found.setdefault(alarm.series[1], (alarm.at - begin) / HOUR_US)
    hours[: len(found)] = list(found.values())
    middle = float(np.median(hours))
    return middle if np.isfinite(middle) else None
