"""Implements the rule of thumb: 48 hours, over 5 points below the 7 days before."""

from __future__ import annotations

import numpy as np

from benchmarks.detection.promise import NEVER
from models.arrays import I64, Bools

RECENT_HOURS, BASELINE_HOURS = 48, 168
POINTS = 0.05


def firing(failures: I64, trials: I64, least: int) -> Bools:
    """Whether the rule fires at the end of each hour, shape (hours, groups) like its arguments.

    Both spans must be complete and have at least `least` outcomes.
    """
    f, n = (
        np.concatenate((np.zeros((1, part.shape[1]), np.int64), part.cumsum(axis=0))) for part in (failures, trials)
    )
    fires = np.zeros(trials.shape, np.bool_)
    begin = RECENT_HOURS + BASELINE_HOURS
    if len(trials) < begin:
        return fires
    end, middle, start = slice(begin, None), slice(BASELINE_HOURS, -RECENT_HOURS), slice(None, -begin)
    recent_f, recent_n = f[end] - f[middle], n[end] - n[middle]
    past_f, past_n = f[middle] - f[start], n[middle] - n[start]
    enough = (recent_n >= least) & (past_n >= least)
    fires[begin - 1 :] = enough & (recent_f / np.maximum(recent_n, 1) - past_f / np.maximum(past_n, 1) > POINTS)
    return fires


def first_alarms(failures: I64, trials: I64, least: int, start: int) -> I64:
    """Hours from `start` to the first firing of each group's rule, from 1, shape (groups,); NEVER without one."""
    fires = firing(failures, trials, least)[start:]
    return np.where(fires.any(axis=0), fires.argmax(axis=0) + 1, NEVER)
