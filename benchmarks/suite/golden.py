"""How often a golden set alarms in nights without a change, by the rule of rows and by the mean, and what it finds."""

from __future__ import annotations

from typing import Final

import numpy as np

from benchmarks.suite.gate import BROKEN, MOST
from benchmarks.suite.rows import SETS, suite, with_broken
from models.arrays import F64
from models.evaluation import (
    ENOUGH_RUNS,
    HISTORY_RUNS,
    RowRule,
    RowTrials,
    alarms_falsely,
    falls_under_mean,
    gate_by_rows,
    one_run,
    with_confirmations,
)

NIGHTS: Final = 14
"""After the first seven; three rows break in the next."""


def figures(builds: int, rng: np.random.Generator) -> dict[str, float]:
    """The worst over the sets: false alarms a night, and the share of sets whose breaks alarm in their first night."""
    found: dict[str, float] = {}
    sets = max(builds // NIGHTS, 20)
    for rows, flaky in SETS:
        false, by_mean, said, noticed = np.mean([_set(rng, suite(rng, rows, flaky)) for _ in range(sets)], axis=0)
        of_set = f"{rows}_{flaky:.0%}"
        found |= {f"alarms_{of_set}": false, f"mean_alarms_{of_set}": by_mean, f"mean_said_{of_set}": said}
        found[f"noticed_{of_set}"] = noticed
    return {
        "golden_false_alarms": max(share for name, share in found.items() if name.startswith("alarms_")),
        "golden_found_3_rows": min(share for name, share in found.items() if name.startswith("noticed_")),
        "mean_rate_error": max(
            abs(share - found[name.replace("alarms", "said")])
            for name, share in found.items()
            if name.startswith("mean_alarms")
        ),
    } | found


def _set(rng: np.random.Generator, failing: F64) -> tuple[float, float, float, float]:
    """Shares of false nights by each rule, the rate that the mean's rule states, and whether the break was found."""
    nights: list[RowTrials] = []
    scores: list[F64] = []
    false = by_mean = 0
    said = 0.0
    for night in range(HISTORY_RUNS + NIGHTS):
        trials, alarm = _night(nights[-HISTORY_RUNS:], failing, rng)
        first = (trials.failures == 0).astype(np.float64)
        if night >= HISTORY_RUNS:
            false += alarm
            by_mean += falls_under_mean(np.mean(scores[-HISTORY_RUNS:], axis=1), float(first.mean()), 0.0).alarms
        if night == HISTORY_RUNS:
            before = np.array(scores)
            said = alarms_falsely(before, before > 0, seed=night)
        nights.append(trials)
        scores.append(first)
    noticed = _night(nights[-HISTORY_RUNS:], with_broken(failing, BROKEN), rng)[1]
    return false / NIGHTS, by_mean / NIGHTS, said, float(noticed)


def _night(before: list[RowTrials], failing: F64, rng: np.random.Generator) -> tuple[RowTrials, bool]:
    """The runs of one night, and whether it alarms; with too short a history nothing is confirmed."""
    first = one_run(failing, rng)
    if len(before) < ENOUGH_RUNS:
        return first, False
    history = sum(before, RowTrials.none(len(failing)))
    rule = RowRule(history)
    now = with_confirmations(rule, first, failing, rng)
    return now, gate_by_rows(rule, history, now, MOST).blocked
