"""The gate on suites of other shapes than those of `rows`, after four and seven recorded runs without confirmations."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import numpy as np

from benchmarks.suite.gate import BROKEN, MOST
from benchmarks.suite.rows import SETS, suite
from models.arrays import F64
from models.evaluation import ENOUGH_RUNS, HISTORY_RUNS, RowRule, RowTrials, gate_by_rows, one_run, with_confirmations

Draw = Callable[[np.random.Generator, int], F64]
SHAPES: Final[dict[str, Draw]] = {
    "flaky_30%": lambda rng, rows: suite(rng, rows, 0.3),
    "mildly_flaky_30%": lambda rng, rows: np.where(rng.random(rows) < 0.3, rng.uniform(0.02, 0.1, rows), 0.002),
    "all_alike": lambda _, rows: np.full(rows, 0.05),
    "beta": lambda rng, rows: rng.beta(0.3, 2.0, rows),
    "half_are_coins": lambda rng, rows: np.where(rng.random(rows) < 0.5, 0.5, 0.002),
}
"""Probabilities to fail of the rows of a suite, by the name of its shape."""


def figures(builds: int, rng: np.random.Generator) -> dict[str, float]:
    """Shares of builds, by what happened, shape, rows and recorded runs; the worst of each first."""
    found: dict[str, float] = {}
    for shape, draw in SHAPES.items():
        for rows in sorted({rows for rows, _ in SETS}):
            for runs in (ENOUGH_RUNS, HISTORY_RUNS):
                blocked, noticed = np.mean([_build(rng, draw(rng, rows), runs) for _ in range(builds // 6)], axis=0)
                found |= {f"shape_blocks_{shape}_{rows}_{runs}": blocked, f"shape_found_{shape}_{rows}_{runs}": noticed}
    return {
        "shapes_false_blocks": max(share for name, share in found.items() if name.startswith("shape_blocks")),
        "shapes_found_3_rows": min(share for name, share in found.items() if name.startswith("shape_found")),
    } | found


def _build(rng: np.random.Generator, failing: F64, runs: int) -> tuple[bool, bool]:
    """Whether it is blocked without a change, and where its three steadiest rows break."""
    history = sum((one_run(failing, rng) for _ in range(runs)), RowTrials.none(len(failing)))
    rule, broken = RowRule(history), failing.copy()
    broken[np.argsort(failing, kind="stable")[:BROKEN]] = 1.0
    unchanged, changed = (
        gate_by_rows(rule, history, with_confirmations(rule, one_run(now, rng), now, rng), MOST).blocked
        for now in (failing, broken)
    )
    return unchanged, changed
