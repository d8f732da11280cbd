"""Says whether a build may pass: by the rule of rows, or by the plain rule."""

from __future__ import annotations

from typing import Literal, NamedTuple

import numpy as np

from models.arrays import F64, I64, Bools
from models.evaluation.row_rule import CERTAIN, DOUBTFUL, RowRule
from models.evaluation.trials import RowTrials


class Gate(NamedTuple):
    """What a gate decided, and by which rows.

    Attributes:
        rule: `rows`: each row by its own history; `plain`: passed in the last recorded run, and fails now.
        blocked: more rows have regressed than are allowed.
        regressed: their numbers, ascending.
        doubtful: rows that may be broken, and do not count; none by the plain rule.
        broken: the probability that each row is broken, shape (rows,); by the plain rule 0 or 1.
        compared: how many rows have been run both before and now.
    """

    rule: Literal["rows", "plain"]
    blocked: bool
    regressed: I64
    doubtful: I64
    broken: F64
    compared: int


def gate_by_rows(rule: RowRule, history: RowTrials, now: RowTrials, max_regressed: int) -> Gate:
    """Count rows that are broken with probability .9, given all runs since the change.

    Args:
        rule: fitted to `history`.
        history: of each row, over the recorded runs.
        now: of each row, confirmations included.
        max_regressed: so many may be broken; 0 or more.
    """
    return _gate("rows", rule.broken(now), _both(history, now), max_regressed)


def gate_plainly(last: RowTrials, now: RowTrials, max_regressed: int) -> Gate:
    """Count rows that passed in the last recorded run and fail now, whatever they did before."""
    fails = last.mostly_passed & now.mostly_failed
    return _gate("plain", fails.astype(np.float64), _both(last, now), max_regressed)


def _gate(rule: Literal["rows", "plain"], broken: F64, compared: Bools, max_regressed: int) -> Gate:
    (regressed,) = (broken >= CERTAIN).nonzero()
    (doubtful,) = ((broken >= DOUBTFUL) & (broken < CERTAIN)).nonzero()
    return Gate(rule, len(regressed) > max_regressed, regressed, doubtful, broken, int(compared.sum()))


def _both(before: RowTrials, now: RowTrials) -> Bools:
    return (before.trials > 0) & (now.trials > 0)
