"""The weekly digest: of all groups together, which have changed, with few mistakes among those that are listed.

Alerts control how often each group alarms falsely. A list that is read once a week needs another promise:
of what is listed, on average at most a share `alpha` is no change. e-BH gives it (Wang and Ramdas 2022, JRSS B 84,
822-852), whatever the dependence between groups and their roll-ups.

The e-value of a group and direction is the mean R of its CT-SR statistic, restarted when the week begins, over the
week's length in weeks: with a known rate and no change, the expectation of R is at most the time that has passed. The
learned rate makes that approximate. It holds at the week's end; between those, there are the alerts.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import Final, NamedTuple

import numpy as np

from aftercall.records import Digest, DigestEntry, Direction
from aftercall.times import EPOCH, MINUTES_PER_DAY, MINUTES_PER_WEEK
from models.arrays import F64, I64
from models.messages import AnyGroup

ALPHA: Final = 0.05
"""Share of the listed changes that are none, on average, at most."""
_MONDAY: Final = 4 * MINUTES_PER_DAY
"""Minute of the first Monday since 1970, which began on a Thursday."""
_DIRECTIONS: Final[tuple[Direction, Direction]] = ("down", "up")


class Weekly(NamedTuple):
    """What is known of each watched group when a week ends; shape (groups,) but for `mean_r`.

    Attributes:
        mean_r: mean of R since the week began, for a drop and for a rise of the success rate, shape (groups, 2).
        baseline_failures, baseline_trials: learned before the week.
        failures, trials: within the week.
    """

    groups: Sequence[AnyGroup]
    mean_r: F64
    baseline_failures: F64
    baseline_trials: F64
    failures: F64
    trials: F64


def e_bh(e_values: F64, alpha: float) -> I64:
    """Indices of the hypotheses that e-BH rejects, the greatest e-value first, ties in their order.

    The top k of G hypotheses, for the greatest k for which the k-th greatest e-value is at least G / (k alpha).
    O(G log G).

    >>> e_bh(np.array([200.0, 1.0, 30.0, 50.0]), 0.05)
    array([0, 3, 2])
    >>> e_bh(np.array([20.0, 20.0, 20.0]), 0.05)
    array([0, 1, 2])

    Raises:
        ValueError: where alpha is not in (0, 1].
    """
    if not 0 < alpha <= 1:
        raise ValueError(f"e_bh: alpha must be in (0, 1]; got {alpha}")
    order: I64 = np.argsort(-e_values, kind="stable")
    ranks = np.arange(1, len(order) + 1)
    # As a product: whole numbers meet the bound exactly.
    passed = np.flatnonzero(e_values[order] * ranks * alpha >= len(order))
    return order[: passed[-1] + 1] if len(passed) else order[:0]


def week_of(minute: int) -> tuple[int, int]:
    """First minute of the ISO week (UTC) that a minute lies in, and of the next.

    >>> week_of(0), week_of(4 * MINUTES_PER_DAY)
    ((-4320, 5760), (5760, 15840))
    """
    first = (minute - _MONDAY) // MINUTES_PER_WEEK * MINUTES_PER_WEEK + _MONDAY
    return first, first + MINUTES_PER_WEEK


def digest(end: int, weekly: Weekly, alpha: float = ALPHA) -> Digest:
    """The digest of the week that ends at minute `end`.

    Every group is tested for a drop and for a rise: twice as many hypotheses as groups.

    Raises:
        ValueError: `end` is not the end of an ISO week.
    """
    begin = week_of(end - 1)[0]
    if begin + MINUTES_PER_WEEK != end:
        raise ValueError(f"digest: the week must end on a Monday at 00:00 UTC; got {EPOCH + timedelta(minutes=end)}")
    # By name, so that ties are settled alike whatever the detector's numbering.
    names = sorted(range(len(weekly.groups)), key=lambda at: [part or "" for part in weekly.groups[at]])
    listed = e_bh(weekly.mean_r[names].ravel(), alpha)
    year, week, _ = (EPOCH + timedelta(minutes=begin)).isocalendar()
    return Digest.sealed(
        week=f"{year}-W{week:02}",
        issued_at=EPOCH + timedelta(minutes=end),
        groups=len(weekly.groups),
        false_discovery_rate=alpha,
        entries=[_entry(weekly, names[place // 2], place % 2) for place in listed.tolist()],
    )


def _entry(weekly: Weekly, row: int, side: int) -> DigestEntry:
    task, model, config = weekly.groups[row]
    return DigestEntry(
        task_type=task,
        model=model,
        config=config,
        direction=_DIRECTIONS[side],
        baseline=_rate(weekly.baseline_failures[row], weekly.baseline_trials[row]),
        current=_rate(weekly.failures[row], weekly.trials[row]),
        trials=int(weekly.trials[row]),
        e_value=float(f"{weekly.mean_r[row, side]:.6g}"),
    )


def _rate(failures: float, trials: float) -> float | None:
    return None if trials <= 0 else round(1 - float(failures) / float(trials), 6)
