"""Trials of a UTC day, per watch and minute, and what the day had shown before each."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from aftercall.times import MINUTES_PER_DAY, MINUTES_PER_HOUR
from models.arrays import F64, I64, Bools
from models.messages import TrialDeltas
from models.stats.dispersion import MINUTES_PER_QUARTER, Dispersion, own_day, shrunk
from models.stats.surroundings import Surroundings

_NONE = -1


class Rows(NamedTuple):
    """Trials per watch and minute of one UTC day, sorted by both, each pair once; and what the baseline learns.

    All of shape (rows,).

    Attributes:
        watch, minute: whose, and since 1970.
        failures, trials: that arrived.
        odds: factor on the expected odds of failure.
        learned, learned_trials: failures and trials corrected by it, in multiples of 1 / GRAIN.
    """

    watch: I64
    minute: I64
    failures: F64
    trials: F64
    odds: F64
    learned: F64
    learned_trials: F64

    def part(self, keep: Bools | slice) -> Rows:
        """Some of them."""
        columns: tuple[Any, ...] = tuple(self)
        return Rows(*(column[keep] for column in columns))


def around(dispersion: Dispersion, rows: Rows, *, changed: bool = False) -> Surroundings:
    """As `Dispersion.around`, for many rows of a watch: each finds what the ones before it have added.

    Args:
        dispersion: as it stands before the first row.
        rows: one at least.
        changed: nothing counts but these rows.
    """
    first = starts_of(rows.watch)
    watch = rows.watch[first]
    opening = dispersion.around(watch, rows.minute[first])
    day, quarter, hour = (
        np.stack(pair) * (not changed) for pair in zip(opening[0:6:2], opening[1:6:2], strict=True)
    )  # events and trials, per watch
    own = opening.own_trials[None] * (not changed)
    learned = np.stack((rows.learned, rows.learned_trials))
    hours = starts_of((rows.watch << 32) | rows.minute // MINUTES_PER_HOUR)
    of_hour, hourly = _running(learned, hours, rows.watch, hour)
    rho = dispersion.rho_hour[rows.watch[hours]]
    quarters = starts_of((rows.watch[hours] << 32) | rows.minute[hours] // MINUTES_PER_QUARTER)
    of_quarter, quarterly = _running(shrunk(hourly, hourly[1], rho), quarters, rows.watch[hours], quarter)
    days = rows.watch[hours][quarters]
    counting = shrunk(quarterly, quarterly[1], rho[quarters])
    of_day, _ = _running(counting, starts_of(days), days, day)
    own_days = own_day(rows.minute[hours][quarters], dispersion.opens(days))
    of_own, _ = _running(counting[1:], starts_of((days << 32) | (own_days + 1)), days, own)
    of_day = np.concatenate((of_day, of_own))
    sizes = np.diff(np.append(quarters, len(hours)))
    of_day = np.repeat(of_day, sizes, axis=1)
    sizes = np.diff(np.append(hours, len(rows.watch)))
    of_day, of_quarter = (np.repeat(counts, sizes, axis=1) for counts in (of_day, of_quarter))
    counts = (of_day[0], of_day[1], of_quarter[0], of_quarter[1], of_hour[0], of_hour[1], of_day[2])
    rho_day, rho_hour = dispersion.rho_day[rows.watch], dispersion.rho_hour[rows.watch]
    sizes = np.diff(np.append(first, len(rows.watch)))
    opens = dispersion.opens(rows.watch)
    goes_on = own_day(rows.minute, opens) == own_day(np.repeat(rows.minute[first], sizes), opens)
    rho_own = np.where(goes_on & (not changed), np.repeat(opening.rho_own, sizes), rho_day)
    return Surroundings(*counts, rho_day, rho_hour, rho_own)


def within_days(minute: NDArray[Any], also: int) -> list[tuple[int, int]]:
    """Spans (first minute, end) that hold all of `minute`, which ascends: UTC days, cut at `also` as well.

    >>> within_days(np.array([10, 1500, 1600]), 1560)
    [(0, 1440), (1440, 1560), (1560, 2880)]
    """
    spans = []
    for day in np.unique(minute // MINUTES_PER_DAY).tolist():
        first, end = day * MINUTES_PER_DAY, (day + 1) * MINUTES_PER_DAY
        spans += [(first, also), (also, end)] if first < also < end else [(first, end)]
    return spans


def per_watch(levels: I64, trials: TrialDeltas) -> tuple[I64, F64, F64]:
    """Failures and trials of each level's watch and minute, per `watch << 32 | minute`, ascending and distinct.

    `levels`: watches of the message's names, shape (levels, names).
    """
    count = trials.trial_successes + trials.trial_failures
    some = count > 0
    minute = np.tile(trials.minute[some].astype(np.int64), (len(levels), 1))
    key = ((levels[:, trials.code[some]] << 32) | minute).ravel()
    order = np.argsort(key, kind="stable")
    key = key[order]
    starts = starts_of(key)
    failed, tried = (
        np.add.reduceat(np.tile(column[some], len(levels))[order], starts).astype(np.float64)
        if len(starts)
        else np.zeros(0)
        for column in (trials.trial_failures.astype(np.int64), count.astype(np.int64))
    )
    return key[starts], failed, tried


def starts_of(key: I64) -> I64:
    """Where runs of equal keys start."""
    return np.flatnonzero(np.diff(key, prepend=_NONE))


def _running(counts: F64, starts: I64, watch: I64, opening: F64) -> tuple[F64, F64]:
    """Sums within runs, before each column and in all; the first run of a watch begins with its `opening`.

    Args:
        counts: shape (1 or 2, columns).
        starts: of the runs.
        watch: of each column.
        opening: shape (1 or 2, watches).
    """
    begins = np.zeros((len(counts), len(starts)))
    begins[:, starts_of(watch[starts])] = opening
    sizes = np.diff(np.append(starts, counts.shape[1]))
    sums = np.cumsum(counts, axis=1) - counts
    before = sums - np.repeat(sums[:, starts] - begins, sizes, axis=1)
    return before, np.add.reduceat(counts, starts, axis=1) + begins
