"""Measures the promise and the delays of single sources that are watched beside the verdicts (`[drift] sources`).

Two sources judge the calls of each group: users answer half of them and complain much sooner than they praise, and a
judge scores each call within the hour. Minutes are fed to the detector of the product as the group step
would send them. For the delays the users' opinions fall alone; the same opinions as verdicts say what a fall of the
verdicts would have taken.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, Final, NamedTuple

import numpy as np

from aftercall.times import HOUR_US, MINUTE_US, MINUTES_PER_DAY
from benchmarks.detection.promise import poisson_upper
from models.alarms.alarm import Alarm
from models.arrays import F64, I64, Bools
from models.columns.group_sums import total
from models.drift import Drift, DriftSettings
from models.messages import NO_VALUES, Closed, Group, TrialDelays, TrialDeltas
from models.side_messages import OpinionTrials
from models.stats.minute_delays import bucket_of

PROMISE: Final = 50.0
"""False alarms per 1,000 groups and week that are asked for: so many that a few weeks show whether it is kept."""
SOURCES: Final = ("judge", "user_feedback")
DROPS: Final = (0.1, 0.2)
START: Final = 20_412 * MINUTES_PER_DAY
_SEED: Final = 41
_FAILING: Final = 0.12
_MODELS: Final = 6
"""Groups of a task type."""
_CHANGE: Final = 21
_DAYS: Final = 42
"""After so many days the users' opinions fall, of so many."""


class Way(NamedTuple):
    """How a source answers: share of calls, median delays of failures and of successes (lognormal), minutes."""

    answered: float
    failure: float
    success: float


WAYS: Final[Mapping[str, Way]] = {"judge": Way(1.0, 20, 20), "user_feedback": Way(0.5, 20, 150)}


class Stream(NamedTuple):
    """Traffic: calls a day and group, relative size of its day cycle, intra-class correlation of days."""

    name: str
    per_day: float
    swing: float
    daily: float = 0.0


STREAMS: Final = (
    Stream("400 calls a day, steady", 400, 0.0),
    Stream("400 calls a day, days and nights", 400, 0.8),
    Stream("400 calls a day, days vary (ICC .002)", 400, 0.6, 0.002),
)


class Size(NamedTuple):
    """Groups and weeks of the promise; groups of the delays."""

    groups: int
    weeks: int
    changing: int


class Opinions(NamedTuple):
    """What sources say, by the minute in which it takes effect; of shape (rows,)."""

    minute: I64
    group: I64
    source: I64
    success: Bools
    delay: I64

    def part(self, rows: slice | Bools | I64) -> Opinions:
        """Some of them."""
        columns: tuple[Any, ...] = tuple(column[rows] for column in self)
        return Opinions(*columns)


class Said(NamedTuple):
    """Calls (minute, group), and opinions; both by minute."""

    called: tuple[I64, I64]
    opinions: Opinions


def table(size: Size) -> list[dict[str, Any]]:
    """A row per stream: alarms on sources over those promised, and median hours until a fall of one is found."""
    return [_row(number, stream, size) for number, stream in enumerate(STREAMS)]


def said(stream: Stream, rng: np.random.Generator, groups: int, days: int, drop: float = 0.0) -> Said:
    """Calls and opinions of `days` days; from day 21 on users are less content by `drop`. Without it groups differ."""
    count = rng.poisson(stream.per_day, (days, groups))
    group, day = np.tile(np.arange(groups), days).repeat(count.ravel()), np.arange(days).repeat(count.sum(axis=1))
    at = day * MINUTES_PER_DAY + within_day(rng, len(group), stream.swing)
    rates = np.full(groups, _FAILING) if drop else np.clip(rng.beta(3, 22, groups), 0.02, 0.6)
    parts = []
    for number, name in enumerate(SOURCES):
        way, failing = WAYS[name], np.broadcast_to(rates, (days, groups))
        if stream.daily:
            worth = 1 / stream.daily - 1
            failing = rng.beta(failing * worth, (1 - failing) * worth)
        q = failing[day, group] + drop * ((day >= _CHANGE) & (name == "user_feedback"))
        some = np.flatnonzero(rng.random(len(at)) < way.answered)
        failed = rng.random(len(some)) < q[some]
        median = np.where(failed, way.failure, way.success)
        delay = (median * np.exp(rng.normal(0, 1.0, len(some)))).astype(np.int64)
        parts.append((at[some] + delay, group[some], np.full(len(some), number), ~failed, delay))
    columns: list[Any] = [np.concatenate(column) for column in zip(*parts, strict=True)]
    order = np.argsort(columns[0], kind="stable")
    opinions = Opinions(START + columns[0], *columns[1:]).part(order)
    by_time = np.argsort(at, kind="stable")
    return Said((START + at[by_time], group[by_time]), opinions)


def alarms(stream: Said, groups: int, days: int, promise: float, *, verdicts: bool = False) -> list[Alarm]:
    """All that is found of configs. `verdicts`: what users say is the verdict, and no source is watched."""
    names: list[Group] = [(f"task-{row // _MODELS:04d}", f"model-{row % _MODELS}", "v1") for row in range(groups)]
    watched = () if verdicts else SOURCES
    settings = DriftSettings(false_alarms_per_1000_groups_per_week=promise, sources=watched)
    detector, raised = Drift(settings), list[Alarm]()
    for day in range(days):
        begin = START + day * MINUTES_PER_DAY
        raised += detector.close(closed(stream, names, begin, begin + MINUTES_PER_DAY, verdicts=verdicts))
    kept = [alarm for alarm in raised if alarm.series[0] == "drift" and alarm.series[1][2] is not None]
    return [alarm for alarm in kept if alarm.ends is None]


def closed(stream: Said, names: list[Group], begin: int, end: int, *, verdicts: bool) -> Closed:
    """What the group step would send."""
    at, whose = (column[slice(*np.searchsorted(stream.called[0], (begin, end)))] for column in stream.called)
    rows = slice(*np.searchsorted(stream.opinions.minute, (begin, end)).tolist())
    opinions = stream.opinions.part(rows)
    if verdicts:
        opinions = opinions.part(opinions.source == SOURCES.index("user_feedback"))
    first, (calls,) = total((at, whose), (np.ones(len(at), np.int32),))
    none = np.zeros(len(first), np.int32)
    deltas = TrialDeltas(_32(whose[first]), _32(at[first]), none, none, none, none, calls)
    by = (opinions.minute, opinions.group, opinions.source, opinions.success, bucket_of(opinions.delay))
    first, (count,) = total(by, (np.ones(len(opinions.minute), np.int32),))
    minute, group, source = (column[first] for column in by[:3])
    good, bucket = opinions.success[first].astype(np.int8), by[4][first]
    if not verdicts:
        unit = np.zeros(len(first), np.uint64)
        table_ = OpinionTrials(_32(group), _32(minute), _32(source), good, bucket, unit, count)
        return Closed(end, names, deltas, NO_VALUES, SOURCES, opinion_trials=table_)
    delays = TrialDelays(_32(group), _32(minute), good, bucket, count)
    return Closed(end, names, _with_trials(deltas, delays), NO_VALUES, delays=delays)


def _with_trials(calls: TrialDeltas, took: TrialDelays) -> TrialDeltas:
    none, zeros = np.zeros(len(calls.code), np.int32), np.zeros(len(took.code), np.int32)
    good = took.count * (took.success == 1)
    by = np.concatenate((calls.minute, took.minute)), np.concatenate((calls.code, took.code))
    columns = ((none, good), (none, took.count - good), (calls.calls, zeros))
    first, (successes, failures, called) = total(by, tuple(map(np.concatenate, columns)))
    return TrialDeltas(by[1][first], by[0][first], successes, failures, successes, failures, called)


def _row(number: int, stream: Stream, size: Size) -> dict[str, Any]:
    days = size.weeks * 7
    steady = said(stream, np.random.default_rng([_SEED, number]), size.groups, days)
    raised = alarms(steady, size.groups, days, PROMISE)
    firsts = {(alarm.series, alarm.direction): alarm for alarm in reversed(raised)}
    settings = DriftSettings(false_alarms_per_1000_groups_per_week=PROMISE, sources=SOURCES)
    threshold = settings.threshold_of("source_rate", 1 / len(SOURCES))
    promised = 2 * len(SOURCES) * size.groups * size.weeks / threshold
    row = {
        "stream": stream.name,
        "drops": sum(alarm.direction == "down" for alarm in firsts.values()),
        "rises": sum(alarm.direction == "up" for alarm in firsts.values()),
        "promised": promised,
        "ratio": len(firsts) / promised,
        "upper": poisson_upper(len(firsts)) / promised,
    }
    for place, drop in enumerate(DROPS):
        rng = np.random.default_rng([_SEED, 100 + number, place])
        falling = said(stream, rng, size.changing, _DAYS, drop)
        for name, verdicts in (("source", False), ("verdicts", True)):
            row[f"{name}_{round(100 * drop)}_h"] = _delay(falling, size.changing, verdicts=verdicts)
    return row


def _delay(falling: Said, groups: int, *, verdicts: bool) -> float | None:
    """Median hours until groups alarm for the fall of what users say, at the default promise; None: most do not."""
    begin = (START + _CHANGE * MINUTES_PER_DAY) * MINUTE_US
    found: dict[Any, float] = {}
    for alarm in alarms(falling, groups, _DAYS, 1.0, verdicts=verdicts):
        if alarm.direction == "down" and alarm.at > begin and not alarm.series[2].endswith(":judge"):
            found.setdefault(alarm.series[1], (alarm.at - begin) / HOUR_US)
    hours = np.full(groups, np.inf)
    hours[: len(found)] = list(found.values())
    middle = float(np.median(hours))
    return middle if np.isfinite(middle) else None


def within_day(rng: np.random.Generator, count: int, swing: float) -> I64:
    """Minutes of a day, most of them about noon: by rejection from 1 + swing sin."""
    minutes: list[F64] = []
    left = count
    while left > 0:
        drawn = rng.random(2 * left) * MINUTES_PER_DAY
        wave = 1 + swing * np.sin(2 * math.pi * (drawn / MINUTES_PER_DAY - 0.25))
        kept = drawn[rng.random(2 * left) * (1 + swing) < wave][:left]
        minutes.append(kept)
        left -= len(kept)
    return np.concatenate(minutes).astype(np.int64) if minutes else np.zeros(0, np.int64)


def _32(column: Any) -> Any:
    return column.astype(np.int32)
