"""The rule of rows: what its answers must not depend on, and how rarely it is wrong."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.suite.rows import suite, with_broken
from models.evaluation import (
    RowRule,
    RowTrials,
    gate_by_rows,
    gate_plainly,
    one_run,
    recorded_runs,
    with_confirmations,
)

COUNTS = st.lists(st.tuples(st.integers(0, 9), st.integers(0, 9)), min_size=1, max_size=12)


def trials(*counts: tuple[int, int]) -> RowTrials:
    """Of pairs of failures and passes."""
    failures = np.array([failed for failed, _ in counts], np.int64)
    return RowTrials(failures, failures + np.array([passed for _, passed in counts], np.int64))


@given(COUNTS, st.randoms(use_true_random=False))
def test_the_order_of_rows_changes_no_probability(counts: list[tuple[int, int]], random: object) -> None:
    order = np.random.default_rng(random.randrange(2**32)).permutation(len(counts))  # type: ignore[attr-defined]
    history, now = trials(*counts), trials(*[(passed, failed) for failed, passed in counts])
    broken = RowRule(history).broken(now)
    moved = RowRule(trials(*[counts[row] for row in order])).broken(RowTrials(now.failures[order], now.trials[order]))
    np.testing.assert_allclose(moved, broken[order], rtol=1e-9)


@given(COUNTS, st.integers(1, 9))
def test_one_failure_more_makes_no_row_less_likely_broken(counts: list[tuple[int, int]], runs: int) -> None:
    rule = RowRule(trials(*counts))
    by_failures = [
        rule.broken(RowTrials(np.full(len(counts), failures), np.full(len(counts), runs)))
        for failures in range(runs + 1)
    ]
    assert (np.diff(by_failures, axis=0) >= -1e-9).all()
    assert (np.array(by_failures) >= 0).all()
    assert (np.array(by_failures) <= 1).all()


@given(COUNTS)
def test_no_row_is_broken_that_did_not_use_to_pass_or_never_fails_now(counts: list[tuple[int, int]]) -> None:
    history = trials(*counts)
    broken = RowRule(history).broken(trials(*[(3, 0)] * len(counts)))
    assert (broken[~history.mostly_passed] == 0).all()
    assert (RowRule(history).broken(trials(*[(0, 3)] * len(counts))) == 0).all()


def test_a_row_that_always_passed_is_broken_after_three_failures_and_not_after_one() -> None:
    history = trials(*[(0, 7)] * 50)
    rule = RowRule(history)
    now = trials((1, 0), (1, 2), (3, 0), *[(0, 1)] * 47)
    broken = rule.broken(now)
    assert broken[2] > 0.99
    assert broken[1] < 0.1
    assert rule.to_confirm(now, 0).tolist() == [True, False, True, *[False] * 47]
    assert not rule.to_confirm(now, 1)[2]


def test_the_same_failures_convince_less_in_a_suite_of_flaky_rows() -> None:
    steady, flaky = [(0, 7)] * 40, [(3, 4)] * 30 + [(1, 6)] * 10
    rows, now = [(1, 6)], trials((3, 0), *[(0, 1)] * 40)
    among_steady = RowRule(trials(*rows, *steady)).broken(now)[0]
    among_flaky = RowRule(trials(*rows, *flaky)).broken(now)[0]
    assert among_flaky < 0.9 < among_steady


def test_a_row_in_doubt_is_run_again_until_it_passes_once_or_three_rounds_are_over() -> None:
    history = trials((1, 6), *[(1, 6)] * 10, *[(3, 4)] * 10, *[(0, 7)] * 29)
    rule = RowRule(history)
    rest = [(0, 1)] * 49
    assert rule.to_confirm(trials((3, 0), *rest), 1)[0]
    assert not rule.to_confirm(trials((2, 1), *rest), 1)[0]
    assert not rule.to_confirm(trials((7, 0), *rest), 3).any()


def test_hundreds_of_repeats_are_read_without_loss() -> None:
    history = trials((0, 7000), (3500, 3600), (7000, 0))
    with np.errstate(all="raise", under="ignore"):
        broken = RowRule(history).broken(trials((500, 0), (250, 250), (500, 0)))
    assert broken[0] > 0.99
    assert broken[1] < 0.1
    assert broken[2] == 0


def test_a_suite_without_history_has_no_broken_row() -> None:
    history = RowTrials.none(3)
    assert RowRule(history).broken(trials((3, 0), (3, 0), (0, 1))).tolist() == [0, 0, 0]
    assert RowRule(RowTrials.none(0)).broken(RowTrials.none(0)).tolist() == []


@pytest.mark.parametrize(("rows", "flaky"), [(50, 0.1), (200, 0.3)])
def test_no_unchanged_build_is_blocked_and_three_broken_rows_are_found(rows: int, flaky: float) -> None:
    rng = np.random.default_rng(17)
    found = plain = 0
    for _ in range(60):
        failing = suite(rng, rows, flaky)
        history, last = recorded_runs(failing, rng)
        rule, first = RowRule(history), one_run(failing, rng)
        assert not gate_by_rows(rule, history, with_confirmations(rule, first, failing, rng), 2).blocked
        plain += gate_plainly(last, first, 2).blocked
        broken = with_broken(failing, 3)
        found += gate_by_rows(rule, history, with_confirmations(rule, one_run(broken, rng), broken, rng), 2).blocked
    assert found >= 54
    assert plain >= 3  # the rule of thumb blocks some of the same builds
