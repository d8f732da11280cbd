"""A simulated service in which everything happens that a detector looks for; the source of the golden alerts.

Five weeks from a Monday. Every stream that `Closed` carries has its trouble: outcomes, latencies, costs, tokens,
scores, statements and calls. `tests/models/alerts/golden_alerts.jsonl` holds the alerts on it: they must not change, so
neither may this.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import pairwise
from typing import Any, Final

import numpy as np

from models.messages import Closed, Group, Responses, Scores, SliceTrials, TrialDeltas, Values
from models.stats.minute_delays import bucket_of

HOUR, DAY, WEEK = 60, 1440, 10_080
START: Final = 2_916 * WEEK + 4 * DAY
"""A Monday, in minutes since 1970."""
DAYS: Final = 35
EVERY: Final = 30
"""Minutes between batches of outcomes."""
SOURCES: Final = ("call", "judge", "tickets")

Levels = list[tuple[int, float]]
"""From minute `begin` after START on the level holds."""

SUCCESS: Final[Mapping[Group, Levels]] = {
    ("quote", "atlas", "default"): [(0, 0.9), (16 * DAY, 0.7), (18 * DAY, 0.9)],
    ("refund", "atlas", "default"): [(0, 0.9), (16 * DAY, 0.7), (18 * DAY, 0.9), (18 * DAY + 20 * HOUR, 0.6)],
    ("search", "atlas", "default"): [(0, 0.9), (16 * DAY + 5 * HOUR, 0.6), (18 * DAY, 0.9)],
    ("quote", "birch", "default"): [(0, 0.8), (9 * DAY, 0.92)],
    ("refund", "birch", "v1"): [(0, 0.85)],
    ("refund", "birch", "v2"): [(20 * DAY, 0.6)],
    ("search", "birch", "default"): [(0, 0.95), (23 * DAY, 0.85), (25 * DAY, 0.5)],
}
PER_DAY: Final = 420.0
LOGS: Final[Mapping[str, Mapping[Group, Levels]]] = {
    "latency_ms": {
        ("quote", "atlas", "default"): [(0, 6.7), (24 * DAY, 7.2), (28 * DAY, 6.7)],
        ("refund", "atlas", "default"): [(0, 6.7), (24 * DAY + HOUR, 7.2), (28 * DAY, 6.7)],
        ("search", "birch", "default"): [(0, 6.0), (10 * DAY, 7.0), (13 * DAY, 8.2)],
    },
    "cost_usd": {
        ("quote", "atlas", "default"): [(0, -5.0)],
        ("refund", "atlas", "default"): [(0, -5.0), (22 * DAY, -6.0)],
        ("search", "birch", "default"): [(0, -4.0), (26 * DAY, -3.5)],
    },
    "tokens": {
        ("quote", "atlas", "default"): [(0, 6.0), (26 * DAY, 6.5)],
        ("refund", "atlas", "default"): [(0, 6.0)],
        ("search", "birch", "default"): [(0, 6.0)],
    },
}
"""Logarithms of medians; a value has a standard deviation of 0.5 around them."""
VALUES_PER_DAY: Final = 300.0
SCORES: Final[Mapping[Group, Levels]] = {
    ("quote", "atlas", "default"): [(0, 8.0), (24 * DAY, 5.0), (29 * DAY, 8.0)],
    ("refund", "atlas", "default"): [(0, 6.0)],
}
"""First parameter of the Beta distribution (the second is 2) of the judge's scores."""
TICKETS: Final[Mapping[str, Levels]] = {
    "quote": [(0, 0.5), (17 * DAY + 12 * HOUR, 0.0)],
    "refund": [(0, 0.5), (17 * DAY + 14 * HOUR, 0.0), (20 * DAY, 0.5)],
    "search": [(0, 0.5)],
}
"""Tickets per call."""
TRAFFIC: Final[Mapping[str, Levels]] = {
    "quote": [(0, 1.0)],
    "refund": [(0, 1.0)],
    "search": [(0, 1.0), (21 * DAY, 8.0), (21 * DAY + 9 * HOUR, 1.0), (30 * DAY, 0.0), (32 * DAY, 1.0)],
}
"""Factors on the calls."""
CALLS_PER_HOUR: Final = 40.0


def level(levels: Levels, minute: np.ndarray) -> np.ndarray:
    """The level that holds in each minute; nan before the first."""
    begins = np.array([begin for begin, _ in levels])
    at = np.searchsorted(begins, minute, side="right") - 1
    return np.where(at >= 0, np.array([value for _, value in levels])[np.maximum(at, 0)], np.nan)


def messages(cuts: list[int]) -> Iterator[Closed]:
    """All that happens, in messages that end at these minutes after START."""
    names = sorted({*SUCCESS, *LOGS["latency_ms"], *SCORES})
    trials = _outcomes(names)
    slices, values, scores, responses = _slices(trials), _values(names), _scores(names), _responses(names)
    for begin, end in pairwise([0, *cuts]):
        yield Closed(
            START + end,
            names,
            _between(trials, begin, end),
            _between(values, begin, end),
            SOURCES,
            slices=_between(slices, begin, end),
            scores=_between(scores, begin, end),
            responses=_between(responses, begin, end),
        )


def _between(columns: Any, begin: int, end: int) -> Any:
    rows = slice(*np.searchsorted(columns.minute, (START + begin, START + end)).tolist())
    return type(columns)(*(column[rows] for column in columns))


def _outcomes(names: list[Group]) -> TrialDeltas:
    """Trials every half hour; calls every hour, by the task's first group."""
    rng = np.random.default_rng(1)
    rows: dict[tuple[int, int], np.ndarray] = {}
    minutes = np.arange(0, DAYS * DAY, EVERY)
    for name, levels in SUCCESS.items():
        rate = level(levels, minutes)
        n = rng.poisson(np.where(np.isnan(rate), 0.0, PER_DAY * EVERY / DAY))
        good = rng.binomial(n, np.nan_to_num(rate))
        for minute, s, f in zip(minutes.tolist(), good.tolist(), (n - good).tolist(), strict=True):
            if s + f:
                rows[minute, names.index(name)] = np.array([s, f, 0])
    for task, called in _calls().items():
        code = next(code for code, name in enumerate(names) if name[0] == task)
        for hour, count in enumerate(called.tolist()):
            rows.setdefault((hour * HOUR, code), np.zeros(3, np.int64))[2] += count
    keys = sorted(rows)
    at, codes = np.array(keys, np.int32).T
    s, f, calls = np.array([rows[key] for key in keys], np.int32).T
    return TrialDeltas(codes, START + at, s, f, s, f, calls)


def _calls() -> dict[str, np.ndarray]:
    """Calls per hour; nights have a third."""
    rng = np.random.default_rng(2)
    hours = np.arange(DAYS * 24)
    awake = np.where((hours % 24 >= 7) & (hours % 24 < 19), 1.0, 1 / 3)
    return {task: rng.poisson(CALLS_PER_HOUR * awake * level(levels, hours * HOUR)) for task, levels in TRAFFIC.items()}


def _slices(trials: TrialDeltas) -> SliceTrials:
    """The judge decides three in four trials, a ticket the fourth."""
    rows = []
    for code, minute, s, f in zip(*(column.tolist() for column in trials[:4]), strict=True):
        for source, success, count in ((1, 0, f - f // 4), (1, 1, s - s // 4), (2, 0, f // 4), (2, 1, s // 4)):
            if count:
                rows.append((minute, code, source, success, count))
    minute, code, source, success, count = np.array(sorted(rows), np.int32).T
    return SliceTrials(code, minute, source, success.astype(np.int8), count)


def _values(names: list[Group]) -> Values:
    rng = np.random.default_rng(3)
    minutes, codes, columns = [], [], []
    for name in LOGS["latency_ms"]:
        minute = np.sort(rng.integers(0, DAYS * DAY, int(VALUES_PER_DAY * DAYS)))
        logs = [level(LOGS[metric][name], minute) + rng.normal(0, 0.5, len(minute)) for metric in LOGS]
        minutes.append(minute)
        codes.append(np.full(len(minute), names.index(name)))
        columns.append(np.exp(logs))
    minute, code, numbers = np.concatenate(minutes), np.concatenate(codes), np.concatenate(columns, axis=1)
    order = np.argsort(minute, kind="stable")
    minute, code, numbers = (START + minute[order]).astype(np.int32), code[order].astype(np.int32), numbers[:, order]
    key = np.arange(len(minute), dtype=np.uint64)
    at = minute.astype(np.int64) * 60_000_000 + key.astype(np.int64) % 60 * 1_000_000
    order = np.lexsort((key, at))
    at, key, numbers = at[order], key[order], numbers[:, order]
    return Values(
        code[order],
        minute[order].astype(np.int32),
        at,
        key,
        numbers[0],
        numbers[1],
        np.rint(numbers[2]).astype(np.int64),
    )


def _scores(names: list[Group]) -> Scores:
    rng = np.random.default_rng(4)
    rows = []
    for name, levels in SCORES.items():
        minute = np.sort(rng.integers(0, DAYS * DAY, int(VALUES_PER_DAY * DAYS)))
        score = np.rint(100 * rng.beta(level(levels, minute), 2.0)).astype(np.int64)
        rows.append(np.stack((START + minute, np.full(len(minute), names.index(name)), score)))
    distinct, count = np.unique(np.concatenate(rows, axis=1), axis=1, return_counts=True)
    minute, code, score = distinct.astype(np.int32)
    return Scores(code, minute, np.ones(len(minute), np.int32), score, count.astype(np.int32))


def _responses(names: list[Group]) -> Responses:
    """Tickets, half an hour after the call on the median."""
    rng = np.random.default_rng(5)
    rows = []
    for task, called in _calls().items():
        at = np.repeat(np.arange(len(called)) * HOUR, called) + rng.integers(0, HOUR, int(called.sum()))
        delay = np.minimum(np.exp(rng.normal(np.log(30), 1.0, len(at))), 2000).astype(np.int64)
        written = at + delay
        kept = (rng.random(len(at)) < np.nan_to_num(level(TICKETS[task], written))) & (written < DAYS * DAY)
        code = next(code for code, name in enumerate(names) if name[0] == task)
        rows.append(np.stack((START + written[kept], np.full(int(kept.sum()), code), bucket_of(delay[kept]))))
    distinct, count = np.unique(np.concatenate(rows, axis=1), axis=1, return_counts=True)
    minute, code, bucket = distinct.astype(np.int32)
    source, none = np.full(len(minute), 2, np.int32), np.zeros(len(minute), np.int32)
    return Responses(code, minute, source, none.astype(np.int8), bucket.astype(np.int16), count.astype(np.int32), none)
