"""Conversations of six groups, and the messages in which their trials reach the detectors."""

from __future__ import annotations

from collections import Counter
from typing import NamedTuple

import numpy as np

from models.drift.settings import DriftSettings
from models.messages import NO_UNITS, NO_VALUES, Closed, Group, TrialDeltas, UnitTrials

DAY = 1440
START = 20_000 * DAY
EAGER = DriftSettings(false_alarms_per_1000_groups_per_week=50.0, warmup_us=0)


class Trial(NamedTuple):
    minute: int
    group: int
    unit: int
    success: bool


def conversations(
    rng: np.random.Generator, days: int, per_day: int, shared: float, drop: tuple[int, float] = (0, 0.0)
) -> list[Trial]:
    """Of six groups: 3 to 20 calls, two minutes apart; 12 % fail. From day `drop[0]` on the rate is lower.

    A call has its conversation's verdict with probability `shared`; where that is 1, all get it as it ends.
    """
    trials = []
    for unit in range(6 * per_day * days):
        begin = int(rng.integers(0, days * DAY))
        failing = 0.12 + (drop[1] if begin >= drop[0] * DAY else 0.0)
        calls, verdict = int(rng.integers(3, 21)), rng.random() >= failing
        for call in range(calls):
            success = verdict if rng.random() < shared else rng.random() >= failing
            minute = begin + 2 * (calls if shared == 1.0 else call)
            trials.append(Trial(START + minute, unit % 6, unit, bool(success)))
    return sorted(trials)


def message(trials: list[Trial], names: list[Group], through: int, *, units: bool = True) -> Closed:
    rows: dict[tuple[int, int], list[int]] = {}
    for trial in trials:
        rows.setdefault((trial.minute, trial.group), [0, 0])[not trial.success] += 1
    minute, code = (np.array(column, np.int32) for column in np.array(sorted(rows)).reshape(-1, 2).T)
    good, bad = np.array([rows[key] for key in sorted(rows)], np.int32).reshape(-1, 2).T
    none = np.zeros(len(code), np.int32)
    counted = sorted(Counter((t.minute, t.group, t.unit, t.success) for t in trials).items())
    columns = np.array([(*key, count) for key, count in counted], np.int64).reshape(-1, 5).T
    at, group, unit, success, count = columns
    of_units = UnitTrials(
        group.astype(np.int32),
        at.astype(np.int32),
        unit.astype(np.uint64),
        success.astype(np.int8),
        count.astype(np.int32),
    )
    deltas = TrialDeltas(code, minute, good, bad, none, none, none)
    return Closed(through, names, deltas, NO_VALUES, units=of_units if units else NO_UNITS)


def names(tasks: int = 1) -> list[Group]:
    return [(f"task-{task}", f"model-{model}", "v1") for task in range(tasks) for model in range(6)]
