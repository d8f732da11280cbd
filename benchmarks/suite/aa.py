"""How far `aftercall eval aa` is off: its rate of false blocks, from eight runs, beside the true one of many sets."""

from __future__ import annotations

import numpy as np

from benchmarks.suite.gate import MOST
from benchmarks.suite.rows import SETS, suite
from models.evaluation import RowTrials, false_blocks, gate_plainly, one_run

RUNS = 8
_TRUE_BUILDS = 200


def figures(builds: int, rng: np.random.Generator) -> dict[str, float]:
    """The largest difference of means over sets of one kind, of the plain rule, whose true rate is known cheaply."""
    found: dict[str, float] = {}
    sets = max(builds // 50, 10)
    for rows, flaky in SETS:
        estimated, true, single = np.mean([_set(rng, rows, flaky) for _ in range(sets)], axis=0).tolist()
        of_set = f"{rows}_{flaky:.0%}"
        found |= {f"aa_{of_set}": estimated, f"aa_true_{of_set}": true, f"aa_error_of_one_{of_set}": single}
    error = max(abs(found[f"aa_{rows}_{flaky:.0%}"] - found[f"aa_true_{rows}_{flaky:.0%}"]) for rows, flaky in SETS)
    return {"aa_error": error} | found


def _set(rng: np.random.Generator, rows: int, flaky: float) -> tuple[float, float, float]:
    """The rate that eight runs of one set give, the true one, and how far they are apart."""
    failing = suite(rng, rows, flaky)
    runs = sum((one_run(failing, rng) for _ in range(RUNS)), RowTrials.none(rows))
    estimated = false_blocks(runs, MOST, int(rng.integers(2**31)), _TRUE_BUILDS).plainly / _TRUE_BUILDS
    blocked = [gate_plainly(one_run(failing, rng), one_run(failing, rng), MOST).blocked for _ in range(_TRUE_BUILDS)]
    true = float(np.mean(blocked))
    return estimated, true, abs(estimated - true)
