"""Measures the promise and the delays where outcomes come in conversations that agree more or less.

Minutes are fed to the detector of the product as the group step would send them. Each stream is watched in three ways:
as shipped, with one outcome of each conversation (what the stream allows where it agrees wholly), and with each outcome
in full, whose alarms say nothing, so that their delays are not measured.
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
from models.messages import NO_UNITS, NO_VALUES, Closed, Group, TrialDeltas, UnitTrials

PROMISE: Final = 50.0
"""False alarms per 1,000 groups and week that are asked for: so many that a few weeks show whether it is kept."""
WAYS: Final = ("shipped", "once", "in full")
START: Final = 20_412 * MINUTES_PER_DAY
_SEED: Final = 37
FAILING: Final = 0.12
_GROUPS: Final = 6
"""Models of a task type."""
_FEWER: Final = 10
"""So many times fewer groups where each outcome counts in full: they alarm again and again."""
_MOST: Final = 21
"""Calls of a conversation, at least 3."""


class Talk(NamedTuple):
    """Conversations: so many a day and group, whose calls have one verdict with probability `shared`.

    `live`: each verdict comes with its call, two minutes after the one before; else all as the conversation ends.
    """

    name: str
    per_day: float
    shared: float
    live: bool


STREAMS: Final = (
    Talk("15 a day, one verdict for all", 15, 1.0, live=False),
    Talk("15 a day, 70 % share it", 15, 0.7, live=True),
    Talk("15 a day, 50 % share it", 15, 0.5, live=True),
    Talk("15 a day, each call its own", 15, 0.0, live=True),
    Talk("300 a day, one verdict for all", 300, 1.0, live=False),
    Talk("300 a day, 50 % share it", 300, 0.5, live=True),
)


class Trials(NamedTuple):
    """Outcomes by minute; of shape (rows,)."""

    minute: I64
    group: I64
    unit: I64
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
    return [_row(number, talk, way, size) for number, talk in enumerate(STREAMS) for way in WAYS]


def conversations(
    talk: Talk,
    rng: np.random.Generator,
    groups: int,
    days: int,
    drop: tuple[int, float],
    *,
    longest: int = _MOST,
    alike: bool = False,
) -> Trials:
    """Outcomes of `days` days; from day `drop[0]` on failures are more by `drop[1]`.

    Conversations have 3 to `longest` calls. Without a drop groups fail at different rates, unless they are `alike`.
    """
    count = rng.poisson(talk.per_day, (days, groups))
    group = np.tile(np.arange(groups), days).repeat(count.ravel())
    begin = np.arange(days).repeat(count.sum(axis=1)) * MINUTES_PER_DAY + rng.integers(0, MINUTES_PER_DAY, len(group))
    calls = rng.integers(3, longest + 1, len(group))
    differ = not (alike or drop[1])
    levels = np.clip(rng.beta(25 * FAILING, 25 * (1 - FAILING), groups), 0.02, 0.6) if differ else FAILING
    failing = np.broadcast_to(levels, groups)[group] + drop[1] * (begin >= drop[0] * MINUTES_PER_DAY)
    unit = np.arange(len(group)).repeat(calls)
    number = np.arange(len(unit)) - np.repeat(np.cumsum(calls) - calls, calls)
    shared = rng.random(len(unit)) < talk.shared
    failed = np.where(shared, (rng.random(len(group)) < failing)[unit], rng.random(len(unit)) < failing[unit])
    minute = begin[unit] + 2 * (number if talk.live else calls[unit])
    order = np.argsort(minute, kind="stable")
    return Trials(START + minute, group[unit], unit, failed).part(order)


def closed(trials: Trials, names: list[Group], through: int, *, units: bool) -> Closed:
    """What the group step would send."""
    order, starts = runs_of((trials.minute, trials.group))
    failures, count = np.add.reduceat(trials.failed[order].astype(np.int32), starts), np.diff([*starts, len(order)])
    code, minute = (column[order[starts]].astype(np.int32) for column in (trials.group, trials.minute))
    none = np.zeros(len(code), np.int32)
    deltas = TrialDeltas(code, minute, (count - failures).astype(np.int32), failures, none, none, none)
    if not units:
        return Closed(through, names, deltas, NO_VALUES, units=NO_UNITS)
    order, starts = runs_of((trials.minute, trials.group, trials.unit, ~trials.failed))
    first = order[starts]
    said = UnitTrials(
        trials.group[first].astype(np.int32),
        trials.minute[first].astype(np.int32),
        trials.unit[first].astype(np.uint64),
        (~trials.failed[first]).astype(np.int8),
        np.diff([*starts, len(order)]).astype(np.int32),
    )
    return Closed(through, names, deltas, NO_VALUES, units=said)


def alarms(trials: Trials, groups: int, days: int, way: str, promise: float) -> list[Alarm]:
    """All that the detector raises, from a fresh start."""
    if way == "once":
        _, first = np.unique(trials.unit, return_index=True)
        trials = trials.part(np.sort(first))
    names = [(f"task-{row // _GROUPS:04d}", f"model-{row % _GROUPS}", "v1") for row in range(groups)]
    settings = DriftSettings(false_alarms_per_1000_groups_per_week=promise, warmup_us=0)
    detector, raised = SuccessRateDetector(settings), list[Alarm]()
    for day in range(days):
        begin = START + day * MINUTES_PER_DAY
        some = slice(*np.searchsorted(trials.minute, (begin, begin + MINUTES_PER_DAY)).tolist())
        part = trials.part(some)
        if len(part.minute):
            raised += detector.close(closed(part, names, begin + MINUTES_PER_DAY, units=way == "shipped"))
    return sorted((alarm for alarm in raised if alarm.series[1][2] is not None), key=by_time)


def _row(number: int, talk: Talk, way: str, size: Size) -> dict[str, Any]:
    tasks = max(1, round(size.tasks * min(1.0, 60 / talk.per_day) / (_FEWER if way == "in full" else 1)))
    groups, days = tasks * _GROUPS, size.weeks * 7
    trials = conversations(talk, np.random.default_rng([_SEED, number]), groups, days, (days, 0.0))
    raised = alarms(trials, groups, days, way, PROMISE)
    firsts = {(alarm.series[1], alarm.direction): alarm for alarm in reversed(raised)}
    week = (START + 7 * MINUTES_PER_DAY) * MINUTE_US
    allowed = 2 * groups * size.weeks / DriftSettings(false_alarms_per_1000_groups_per_week=PROMISE).threshold
    return {
        "stream": talk.name,
        "way": way,
        "drops": sum(alarm.direction == "down" for alarm in firsts.values()),
        "rises": sum(alarm.direction == "up" for alarm in firsts.values()),
        "of_first_week": sum(alarm.at <= week for alarm in firsts.values()),
        "promised": allowed,
        "ratio": len(firsts) / allowed,
        "upper": poisson_upper(len(firsts)) / allowed,
        "delay_h": None if way == "in full" else _delay(number, talk, way, size.changing),
    }


def _delay(number: int, talk: Talk, way: str, tasks: int) -> float | None:
    """Median hours, at the default promise, until groups alarm for a drop of 20 points after three weeks."""
    groups, days, change = max(1, round(tasks * min(1.0, 60 / talk.per_day))) * _GROUPS, 42, 21
    trials = conversations(talk, np.random.default_rng([_SEED, 100 + number]), groups, days, (change, 0.2))
    begin = (START + change * MINUTES_PER_DAY) * MINUTE_US
    hours = np.full(groups, np.inf)
    found: dict[Any, float] = {}
    for alarm in alarms(trials, groups, days, way, 1.0):
        if alarm.direction == "down" and alarm.at > begin:
            found.setdefault(alarm.series[1], (alarm.at - begin) / HOUR_US)
    hours[: len(found)] = list(found.values())
    middle = float(np.median(hours))
    return middle if np.isfinite(middle) else None
