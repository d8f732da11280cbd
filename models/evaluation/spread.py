"""Estimates how the rows of one suite differ in how often they fail when nothing changes.

Each row has a probability to fail of its own. Their distribution over the suite is the prior of each row: on a fixed
grid of probabilities, its weights are those of the greatest likelihood (nonparametric maximum likelihood; Laird 1978,
JASA 73, 805-811), found by the EM algorithm, with `_PSEUDO_ROWS` of a row at each point of the grid: no finite history
may exclude that a row is flaky. A suite whose rows never failed has steady rows, as far as all of it together can show;
in one with many flaky rows a row that passed seven times may still be one of them.
"""

from __future__ import annotations

from typing import Final

import numpy as np

from models.arrays import F64
from models.evaluation.trials import RowTrials

FAILING: Final[F64] = np.array(
    [0.001, 0.003, 0.01, 0.03, 0.06, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.97]
)
"""Probabilities to fail that a row may have."""
_LOG_FAIL: Final[F64] = np.log(FAILING)
_LOG_PASS: Final[F64] = np.log1p(-FAILING)
_PSEUDO_ROWS: Final = 0.03
_STEPS: Final = 100


class Spread:
    """The distribution of the probability to fail over the rows of a suite."""

    def __init__(self, weights: F64) -> None:
        """Take the weights of the points of `FAILING`; they sum to 1."""
        self.weights = weights

    @classmethod
    def fitted(cls, history: RowTrials) -> Spread:
        """The spread of rows with this history; uniform without any. O(100 x distinct counts), about 2 ms."""
        counts, rows = np.unique(np.stack([history.failures, history.trials], axis=1), axis=0, return_counts=True)
        likelihood = np.exp(_log_likelihood(RowTrials(counts[:, 0], counts[:, 1])))
        weights = np.full(len(FAILING), 1 / len(FAILING))
        for _ in range(_STEPS if len(counts) else 0):
            joint = likelihood * weights
            share = rows @ (joint / joint.sum(axis=1, keepdims=True)) + _PSEUDO_ROWS
            weights = share / share.sum()
        return cls(weights)

    def of_rows(self, history: RowTrials) -> F64:
        """The distribution of each row's probability to fail given its own history, shape (rows, len(FAILING))."""
        joint = self.weights * np.exp(_log_likelihood(history))
        posterior: F64 = joint / joint.sum(axis=1, keepdims=True)
        return posterior

    def chance_of(self, now: RowTrials, history: RowTrials) -> F64:
        """The log probability that unchanged rows give just these results in this order, shape (rows,)."""
        chance = (self.of_rows(history) * np.exp(_log_likelihood(now, scaled=False))).sum(axis=1)
        with np.errstate(divide="ignore"):  # of hundreds of repeats, 0: impossible as far as floats can tell
            logs: F64 = np.log(chance)
        return logs


def _log_likelihood(trials: RowTrials, *, scaled: bool = True) -> F64:
    """Of each probability of `FAILING`, shape (rows, points); `scaled`: the greatest is 0, so none underflows."""
    passes = trials.trials - trials.failures
    logs: F64 = np.outer(trials.failures, _LOG_FAIL) + np.outer(passes, _LOG_PASS)
    return logs - logs.max(axis=1, keepdims=True) if scaled else logs
