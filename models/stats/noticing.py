"""Looks up how soon a drop of 5 points would be noticed, for any number of groups at once.

`models.stats.power` simulates the answer for one group, in some 100 ms. Here its answers at the nodes of a grid are
interpolated: linearly, on the scales of failure odds, of traffic and of the baseline's age. Between nodes that is
within a third of the simulation. The grid is of the default promise without a margin.
"""

from __future__ import annotations

from typing import Final, NamedTuple

import numpy as np

from models.arrays import F64, I64
from models.stats.power import LONGEST_DAYS
from models.stats.power_grid import BASELINE_DAYS, FAILURE_RATES, HOURS, PER_DAY, WITHIN_WEEK

DROP: Final = 0.05
"""The drop of the success rate; a share in [0, 1]."""
_BEYOND: Final = 1.5 * 24 * LONGEST_DAYS
"""Hours that stand for "not within `LONGEST_DAYS`" where a neighbour is known."""
_EDGE: Final = 0.002
"""Stands for a share of none, and for none of the rest."""
_SHAPE: Final = (len(FAILURE_RATES), len(PER_DAY), len(BASELINE_DAYS))


class Noticing(NamedTuple):
    """When a drop would be noticed, shape (n,) each; nan where a group has no outcomes."""

    days: F64
    """Median, counted from the drop; inf where it is more than `LONGEST_DAYS`."""
    within_week: F64
    """Probability that it is noticed within 7 days."""


def noticing(successes: I64 | F64, failures: I64 | F64, per_day: F64) -> Noticing:
    """How soon a drop of 5 points would be noticed. Some ms for 10,000 groups; a group's answer is its own.

    Args:
        successes: Outcomes of the baseline, shape (n,), >= 0; independent ones, so they need not be whole.
        failures: The same.
        per_day: Outcomes a day at present, shape (n,). The baseline is as old as all of it takes at this traffic.

    >>> found = noticing(np.array([25_200, 0]), np.array([2_800, 0]), np.array([1_000.0, 0.0]))
    >>> bool(1 < found.days[0] < 2), found.days[1]
    (True, np.float64(nan))
    """
    trials = successes + failures
    some = (trials > 0) & (per_day > 0)
    traffic = np.where(some, per_day, 1.0)
    rate = (failures + 0.5) / (trials + 1)
    at = [
        _place(np.log(rate / (1 - rate)), np.log(np.array(FAILURE_RATES) / (1 - np.array(FAILURE_RATES)))),
        _place(np.log(traffic), np.log(PER_DAY)),
        _place(np.log(np.maximum(trials / traffic, 1.0)), np.log(BASELINE_DAYS)),
    ]
    hours = np.exp(_between(np.log(_grid(HOURS, _BEYOND)), at))
    days = np.where(hours > 24 * LONGEST_DAYS, np.inf, hours / 24)
    share = np.clip(_grid(WITHIN_WEEK, 0.0) / 100, _EDGE, 1 - _EDGE)
    within = 1 / (1 + np.exp(-_between(np.log(share / (1 - share)), at)))
    return Noticing(np.where(some, days, np.nan), np.where(some, within, np.nan))


def _grid(text: str, beyond: float) -> F64:
    return np.array([beyond if word == "-" else float(word) for word in text.split()]).reshape(_SHAPE)


def _place(values: F64, nodes: F64) -> tuple[I64, F64]:
    """The node below each value, and how far it is to the next: 0 to 1."""
    below = np.clip(np.searchsorted(nodes, values, side="right") - 1, 0, len(nodes) - 2)
    return below, np.clip((values - nodes[below]) / (nodes[below + 1] - nodes[below]), 0.0, 1.0)


def _between(grid: F64, at: list[tuple[I64, F64]]) -> F64:
    """The grid's values at places between its nodes."""
    found = np.zeros(len(at[0][0]))
    for corner in np.ndindex(2, 2, 2):
        weight = np.ones(len(found))
        for step, (_, share) in zip(corner, at, strict=True):
            weight = weight * (share if step else 1 - share)
        found += weight * grid[tuple(below + step for step, (below, _) in zip(corner, at, strict=True))]
    return found
