"""Counts how often there is a change behind a suspicion, in populations of which few change.

Groups of mixed rates and traffic, half of them with day effects; in each week a share of them changes for good by 5, 10
or 20 points. A reader looks once a day at noon. A suspicion is real where the group has changed, in that direction, and
no alert has followed so far.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np

from benchmarks.detection.ours import DEFAULTS, SHIPPED
from benchmarks.detection.populations import Levels, Population, Stream, population
from benchmarks.detection.promise import Batch, Lab
from models.arrays import F64, I64
from models.drift import SUSPICION_ODDS

CHANGING: Final = (0.0005, 0.002, 0.02)
"""Shares of groups that change in a week."""
_STREAMS: Final = (Stream("independent"), Stream("day effects ICC .002", daily=0.002))
_SIZES: Final = (0.05, 0.10, 0.20)
_SEED: Final = 31
_NOON: Final = 12
_LEARNED: Final = 300
"""Trials of the new baseline after an alarm."""


class _Truth:
    """Which groups have changed, how, and whether it is known."""

    def __init__(self, people: Population, weekly: float, rng: np.random.Generator) -> None:
        self._people, self._hourly, self._rng = people, weekly / 168, rng
        self.shift: F64 = np.zeros(len(people.failure))
        self.unknown: I64 = np.zeros(len(people.failure), np.int64)
        """1 where more calls fail and no alarm has followed, -1 where fewer do."""

    def hour(self) -> F64:
        """How much more often each group fails in the next hour."""
        rows = np.flatnonzero((self._rng.random(len(self.shift)) < self._hourly) & (self.shift == 0))
        up = self._rng.random(len(rows)) < 0.5
        size = self._rng.choice(_SIZES, len(rows)) * np.where(up, 1, -1)
        moved = np.clip(self._people.failure[rows] + size, 0.002, 0.95)
        self.shift[rows] = moved - self._people.failure[rows]
        self.unknown[rows] = np.sign(self.shift[rows]).astype(np.int64)
        return self.shift


def table(groups: int, weeks: int) -> list[dict[str, Any]]:
    """A row for each share of changing groups and class of strength: looks at suspicions, and at real ones."""
    rows = []
    for number, weekly in enumerate(CHANGING):
        counts = np.zeros((len(SUSPICION_ODDS), 2), np.int64)
        for stream in _STREAMS:
            counts += _looks(stream, weekly, groups // len(_STREAMS), weeks, np.random.default_rng(_SEED + number))
        rows += [
            {"weekly": weekly, "from": least, "listed": int(listed), "real": int(real)}
            for (least, _), (listed, real) in zip(SUSPICION_ODDS, counts, strict=True)
        ]
    return rows


def _looks(stream: Stream, weekly: float, groups: int, weeks: int, rng: np.random.Generator) -> I64:
    people = population(groups, rng)
    truth, lab, levels = _Truth(people, weekly, rng), Lab(groups, SHIPPED), Levels(stream, people, rng)
    mean_r = np.zeros((2, groups))
    counts: I64 = np.zeros((len(SUSPICION_ODDS), 2), np.int64)
    for hour in range(weeks * 168):
        rate = np.clip(levels.hour(hour) + (truth.hour() if hour >= 168 else 0.0), 0.001, 0.999)
        trials = rng.poisson(people.per_day / 24)
        rows = np.flatnonzero(trials)
        failures = rng.binomial(trials[rows], rate[rows])
        mean_r[:, rows] = lab.update(Batch(hour * 60, rows, trials[rows] - failures, failures))
        for row in np.flatnonzero(mean_r.max(axis=0) >= DEFAULTS.threshold).tolist():
            lab.reset(row, float(rate[row] * _LEARNED), float(_LEARNED))
            mean_r[:, row] = 0.0
            truth.unknown[row] = 0
        if hour % 24 == _NOON and hour >= 2 * 168:
            counts += _listed(mean_r / DEFAULTS.threshold, truth.unknown)
    return counts


def _listed(strength: F64, unknown: I64) -> I64:
    """Suspicions by class of strength, and those that are real; shape (classes, 2)."""
    counts: I64 = np.zeros((len(SUSPICION_ODDS), 2), np.int64)
    for side, sign in enumerate((1, -1)):
        of_class = np.select([strength[side] >= least for least, _ in SUSPICION_ODDS], range(len(SUSPICION_ODDS)), -1)
        for place in range(len(SUSPICION_ODDS)):
            counts[place] += (of_class == place).sum(), ((of_class == place) & (unknown == sign)).sum()
    return counts
