"""How often the gate blocks builds that change nothing, and builds that break three steady rows."""

from __future__ import annotations

from typing import Final

import numpy as np

from benchmarks.suite.rows import SETS, suite, with_broken
from models.arrays import F64
from models.evaluation import (
    HISTORY_RUNS,
    RowRule,
    RowTrials,
    gate_by_rows,
    gate_plainly,
    one_run,
    recorded_runs,
    with_confirmations,
)

MOST: Final = 2
BROKEN: Final = 3


def figures(builds: int, rng: np.random.Generator) -> dict[str, float]:
    """The worst over the sets of each size, and of all for what is found; by set as details."""
    found: dict[str, float] = {}
    for rows, flaky in SETS:
        for name, share in _shares(builds, rng, rows, flaky).items():
            found[f"{name}_{rows}_{flaky:.0%}"] = share
    of = {name: [share for key, share in found.items() if key.startswith(name)] for name in ("blocks_50", "blocks_200")}
    return {
        "gate_false_blocks_50": max(of["blocks_50"]),
        "gate_false_blocks_200": max(of["blocks_200"]),
        "gate_found_3_rows": min(share for key, share in found.items() if key.startswith("found_")),
    } | found


def _shares(builds: int, rng: np.random.Generator, rows: int, flaky: float) -> dict[str, float]:
    """Shares of builds: blocked without a change by each rule, naming a row, found; and runs of single rows added."""
    counts = np.zeros(6)
    for _ in range(builds):
        failing = suite(rng, rows, flaky)
        history, last = recorded_runs(failing, rng)
        rule, first = RowRule(history), one_run(failing, rng)
        now = with_confirmations(rule, first, failing, rng)
        unchanged = gate_by_rows(rule, history, now, MOST)
        broken = with_broken(failing, BROKEN)
        changed = gate_by_rows(rule, history, with_confirmations(rule, one_run(broken, rng), broken, rng), MOST)
        counts += (
            unchanged.blocked,
            len(unchanged.regressed) > 0,
            changed.blocked,
            gate_plainly(last, first, MOST).blocked,
            (now.trials - 1).sum(),
            _found_without_confirmed_history(failing, rng),
        )
    names = ("blocks", "names_a_row", "found", "plain_blocks", "confirmations", "bare_found")
    return dict(zip(names, (counts / builds).tolist(), strict=True))


def _found_without_confirmed_history(failing: F64, rng: np.random.Generator) -> bool:
    """The same where recorded runs were never confirmed, as with `--record` alone."""
    history = RowTrials.none(len(failing))
    for _ in range(HISTORY_RUNS):
        history += one_run(failing, rng)
    rule, broken = RowRule(history), with_broken(failing, BROKEN)
    return gate_by_rows(rule, history, with_confirmations(rule, one_run(broken, rng), broken, rng), MOST).blocked
