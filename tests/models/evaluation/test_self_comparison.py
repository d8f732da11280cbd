"""How often a gate would block an unchanged suite, estimated from a few runs of it."""

from __future__ import annotations

import numpy as np

from benchmarks.suite.rows import suite
from models.evaluation import RowTrials, false_blocks, gate_plainly, one_run


def test_the_rate_of_the_plain_rule_is_near_the_true_one() -> None:
    rng = np.random.default_rng(5)
    estimated, true = [], []
    for _ in range(10):
        failing = suite(rng, 50, 0.1)
        runs = sum((one_run(failing, rng) for _ in range(8)), RowTrials.none(50))
        estimated.append(false_blocks(runs, 2, 1, 40).plainly / 40)
        true += [gate_plainly(one_run(failing, rng), one_run(failing, rng), 2).blocked for _ in range(100)]
    assert abs(np.mean(estimated) - np.mean(true)) < 0.07
    assert 0.05 < np.mean(true) < 0.3


def test_a_suite_that_never_failed_is_hardly_ever_blocked_and_a_fair_coin_always_plainly() -> None:
    rows = np.full(40, 8)
    steady = false_blocks(RowTrials(np.zeros(40, np.int64), rows), 2, 3, 40)
    coins = false_blocks(RowTrials(np.full(40, 4), rows), 2, 3, 40)
    assert steady.by_rows == 0
    assert steady.plainly <= 1
    assert coins.plainly == 40
    assert coins.by_rows == 0
    assert coins.confirmations > steady.confirmations


def test_the_same_seed_gives_the_same_rate() -> None:
    runs = RowTrials(np.array([0, 1, 4, 8] * 10), np.full(40, 8))
    assert false_blocks(runs, 1, 9, 30) == false_blocks(runs, 1, 9, 30)
