"""Simulates runs of a suite whose rows have known probabilities to fail, confirmed as a gate has them confirmed."""

from __future__ import annotations

import numpy as np

from models.arrays import F64, Bools
from models.evaluation.row_rule import ENOUGH_RUNS, HISTORY_RUNS, ROUNDS, RUNS_PER_ROUND, RowRule
from models.evaluation.trials import RowTrials


def one_run(failing: F64, rng: np.random.Generator, some: Bools | None = None) -> RowTrials:
    """One run of each row, or of some; `failing`: their probabilities to fail, shape (rows,)."""
    failed = rng.random(len(failing)) < failing
    run = np.ones(len(failing), np.bool_) if some is None else some
    return RowTrials((failed & run).astype(np.int64), run.astype(np.int64))


def with_confirmations(rule: RowRule, now: RowTrials, failing: F64, rng: np.random.Generator) -> RowTrials:
    """The runs of a build with all confirmations that the rule asks for."""
    for round_ in range(ROUNDS):
        again = rule.to_confirm(now, round_)
        for _ in range(RUNS_PER_ROUND):
            now += one_run(failing, rng, again)
    return now


def recorded_runs(failing: F64, rng: np.random.Generator) -> tuple[RowTrials, RowTrials]:
    """All trials of seven recorded runs, and the first of the last one; with enough runs before, suspects run again."""
    history = last = RowTrials.none(len(failing))
    for before in range(HISTORY_RUNS):
        last = one_run(failing, rng)
        suspects = history.mostly_passed & last.mostly_failed
        for _ in range(RUNS_PER_ROUND if before >= ENOUGH_RUNS else 0):
            history += one_run(failing, rng, suspects)
        history += last
    return history, last
