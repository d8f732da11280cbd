"""The rule of rows, vectorised, gives what the definition gives row by row."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from models.evaluation import RowRule, RowTrials, gate_by_rows, gate_plainly
from oracle import evaluation as oracle

RESULTS = st.lists(st.booleans(), max_size=9)
MOSTLY_PASSING = st.lists(st.sampled_from([True] * 7 + [False]), max_size=9)
NOW = st.lists(st.booleans(), max_size=7) | st.lists(st.just(False), max_size=7)
ROWS = st.lists(st.tuples(RESULTS | MOSTLY_PASSING, NOW), min_size=1, max_size=8)


def trials(rows: Sequence[Sequence[bool]]) -> RowTrials:
    return RowTrials(
        np.array([sum(not passed for passed in row) for row in rows], np.int64),
        np.array([len(row) for row in rows], np.int64),
    )


@given(ROWS, st.integers(0, 4))
def test_probabilities_and_confirmations_are_those_of_the_definition(
    rows: list[tuple[list[bool], list[bool]]], rounds: int
) -> None:
    history, now = [before for before, _ in rows], [since for _, since in rows]
    rule = RowRule(trials(history))
    broken = oracle.broken(history, now)
    np.testing.assert_allclose(rule.broken(trials(now)), broken, rtol=1e-9, atol=1e-12)
    assert rule.to_confirm(trials(now), rounds).tolist() == oracle.to_confirm(history, now, rounds)


@given(ROWS, st.integers(0, 3))
def test_a_gate_blocks_where_more_rows_are_broken_than_are_allowed(
    rows: list[tuple[list[bool], list[bool]]], most: int
) -> None:
    history, now = [before for before, _ in rows], [since for _, since in rows]
    gate = gate_by_rows(RowRule(trials(history)), trials(history), trials(now), most)
    broken = oracle.broken(history, now)
    assert gate.regressed.tolist() == [row for row, chance in enumerate(broken) if chance >= 0.9]
    assert gate.doubtful.tolist() == [row for row, chance in enumerate(broken) if 0.1 <= chance < 0.9]
    assert gate.blocked == (len(gate.regressed) > most)
    assert gate.compared == sum(bool(before and since) for before, since in rows)


@given(ROWS, st.integers(0, 3))
def test_the_plain_rule_counts_rows_that_passed_in_the_last_run_and_fail_now(
    rows: list[tuple[list[bool], list[bool]]], most: int
) -> None:
    gate = gate_plainly(trials([before for before, _ in rows]), trials([since for _, since in rows]), most)
    worse = [
        row
        for row, (before, since) in enumerate(rows)
        if oracle.used_to_pass(before) and since and sum(since) <= len(since) / 2
    ]
    assert gate.regressed.tolist() == worse
    assert gate.blocked == (len(worse) > most)
