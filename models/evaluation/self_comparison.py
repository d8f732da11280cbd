"""Estimates how often a gate would block this suite although nothing has changed (an A/A test).

Some runs of the suite against itself show how flaky its rows are. Each simulated build draws a probability to fail for
each row from what is known of it (`models.evaluation.spread`), then seven recorded runs and the build's own, with
confirmations as the gate makes them, and asks both rules. So the rate allows for what few runs leave open, and needs
no more runs than there are.
"""

from __future__ import annotations

from typing import Final, NamedTuple

import numpy as np

from models.arrays import F64
from models.evaluation.builds import one_run, recorded_runs, with_confirmations
from models.evaluation.gate import gate_by_rows, gate_plainly
from models.evaluation.row_rule import RowRule
from models.evaluation.spread import FAILING, Spread
from models.evaluation.trials import RowTrials

BUILDS: Final = 1000


class FalseBlocks(NamedTuple):
    """How many of so many unchanged builds each rule blocks.

    Attributes:
        builds: that were simulated.
        by_rows: blocked by the rule of rows.
        plainly: blocked by the plain rule.
        named: builds in which the rule of rows names at least one row.
        confirmations: mean number of further runs of single rows that a build needs.
    """

    builds: int
    by_rows: int
    plainly: int
    named: int
    confirmations: float


def false_blocks(runs: RowTrials, max_regressed: int, seed: int, builds: int = BUILDS) -> FalseBlocks:
    """Simulate builds that change nothing, on a suite of which these runs are known. About 3 ms a build of 200 rows.

    Args:
        runs: of each row, from runs of one agent.
        max_regressed: as of the gate.
        seed: of the draws.
        builds: how many to simulate.
    """
    rng = np.random.default_rng(seed)
    posterior = Spread.fitted(runs).of_rows(runs)
    found = [_build(rng, _drawn(posterior, rng), max_regressed) for _ in range(builds)]
    by_rows, plainly, named, more = (sum(column) for column in zip(*found, strict=True))
    return FalseBlocks(builds, by_rows, plainly, named, more / builds)


def _build(rng: np.random.Generator, failing: F64, max_regressed: int) -> tuple[bool, bool, bool, int]:
    history, last = recorded_runs(failing, rng)
    rule, first = RowRule(history), one_run(failing, rng)
    now = with_confirmations(rule, first, failing, rng)
    by_rows, plainly = gate_by_rows(rule, history, now, max_regressed), gate_plainly(last, first, max_regressed)
    return by_rows.blocked, plainly.blocked, len(by_rows.regressed) > 0, int((now.trials - 1).sum())


def _drawn(posterior: F64, rng: np.random.Generator) -> F64:
    """A probability to fail for each row."""
    places = (posterior.cumsum(axis=1) < rng.random((len(posterior), 1))).sum(axis=1)
    drawn: F64 = FAILING[np.minimum(places, len(FAILING) - 1)]
    return drawn
