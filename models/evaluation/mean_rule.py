"""The rule that teams know, a score so far under the mean of the last nights, and how often it alarms falsely.

How often depends on the rows: of fifty rows with thirty per cent flaky ones, "5 % under the mean of 7 nights" alarms
in one unchanged night of eight. So the rule is never shown without its rate on this very set.
"""

from __future__ import annotations

from typing import Final, NamedTuple

import numpy as np

from models.arrays import F64, I64, Bools
from models.evaluation.row_rule import HISTORY_RUNS
from models.evaluation.spread import FAILING, Spread
from models.evaluation.trials import RowTrials

UNDER: Final = 0.05
"""So far under the mean, as a share of it, is an alarm."""
_CELLS: Final = 4_000_000
_FEWEST, _MOST = 200, 20_000


class MeanRule(NamedTuple):
    """What the rule found.

    Attributes:
        alarms: the score is more than `UNDER` under the mean.
        score: of this night, the mean over its rows, 0 to 1.
        mean: of the nights before.
        false_alarms: the share of nights in which the rule alarms although nothing has changed.
    """

    alarms: bool
    score: float
    mean: float
    false_alarms: float


def falls_under_mean(scores: F64, score: float, false_alarms: float) -> MeanRule:
    """Hold the score of a night against the nights before.

    Args:
        scores: of the last nights, at most 7, shape (nights,), not empty.
        score: of this night.
        false_alarms: of this rule on this set, from `alarms_falsely`.
    """
    mean = float(scores.mean())
    return MeanRule(score < mean * (1 - UNDER), score, mean, false_alarms)


def alarms_falsely(scores: F64, passed: Bools, seed: int) -> float:
    """The share of nights in which the rule would alarm on this set although nothing has changed.

    Eight nights are simulated again and again: a row passes or fails by a probability that is drawn from what is known
    of it (`models.evaluation.spread`), and then has one of the scores that it had with that result, or, where it had
    none, one that another row had.

    Args:
        scores: of each row in each recorded run, shape (runs, rows); nan where it was not run.
        passed: whether it passed, of the same shape.
        seed: of the draws.

    Returns:
        0 to 1, known within a tenth of itself and 0.2 points. O(nights x rows), a second at most for 10,000 rows.
    """
    run = ~np.isnan(scores)
    runs = RowTrials((run & ~passed).sum(axis=0), run.sum(axis=0))
    rng = np.random.default_rng(seed)
    posterior = Spread.fitted(runs).of_rows(runs).cumsum(axis=1)
    nights = int(np.clip(_CELLS // (HISTORY_RUNS + 1) // max(len(posterior), 1), _FEWEST, _MOST))
    good, bad = (_scores(scores[run & which], default) for which, default in ((passed, 1.0), (~passed, 0.0)))
    total = np.zeros((HISTORY_RUNS + 1, nights))
    for row, chances in enumerate(posterior):
        own = scores[run[:, row], row], passed[run[:, row], row]
        failing = FAILING[np.minimum(np.searchsorted(chances, rng.random(nights)), len(FAILING) - 1)]
        passes = rng.random(total.shape) >= failing
        total += np.where(passes, _of(own[0][own[1]], good, passes.shape, rng), 0.0)
        total += np.where(passes, 0.0, _of(own[0][~own[1]], bad, passes.shape, rng))
    return float((total[-1] < total[:-1].mean(axis=0) * (1 - UNDER)).mean())


def _scores(seen: F64, default: float) -> F64:
    return seen if len(seen) else np.array([default])


def _of(own: F64, others: F64, shape: tuple[int, ...], rng: np.random.Generator) -> F64:
    """Scores drawn from a row's own, or from those of others where it has none."""
    pool = own if len(own) else others
    if len(pool) == 1:
        return np.full(shape, pool[0])
    places: I64 = rng.integers(0, len(pool), shape)
    return pool[places]
