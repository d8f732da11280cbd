"""Contracts judge as the slow oracle does, however batches are cut and wherever the join is resumed."""

from __future__ import annotations

from collections import Counter

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aftercall.contracts.results import RESULTS
from models.contracts import ContractJudge
from oracle.agreement import agree
from oracle.contracts import contract_set
from oracle.direct import Direct, join_rules
from oracle.histories import History, histories
from oracle.records import Rules

KINDS = frozenset({"contracts", "completions", "attempts", "parents"})
VERDICTS = {frozenset({"critical"}): "critical", frozenset({"critical", "major"}): "major", frozenset(): "never"}


KEPT = {"all": frozenset(RESULTS), "failed": frozenset({"fail", "error"}), "none": frozenset[str]()}


def direct_of(rules: Rules, keep: str = "all") -> Direct:
    """The join with what judges by the contracts of the rules; `keep`: of `KEPT`, which results have rows."""
    contracts = contract_set(rules.contracts)
    judge = ContractJudge(contracts, msgspec.to_builtins, VERDICTS[rules.severe], keep)
    return Direct(join_rules(rules), judge=judge, unlearned=rules.unlearned)


@pytest.mark.slow
@settings(max_examples=60)
@given(
    st.frozensets(st.sampled_from(["editions", "authors", "combine", "required"])).flatmap(
        lambda more: histories(kinds=KINDS | more)
    ),
    st.lists(st.integers(1, 60), max_size=6),
    st.lists(st.booleans(), max_size=6),
    st.booleans(),
    st.sampled_from(list(KEPT)),
)
def test_checks_rates_and_verdicts_equal_the_oracles_however_batches_are_cut(
    history: History,
    cuts: list[int],
    resumes: list[bool],
    merged: bool,  # noqa: FBT001 - drawn by Hypothesis
    keep: str,
) -> None:
    oracle, direct = history.oracle(merged=merged), direct_of(history.rules, keep)
    direct.run(history, cuts, resumes, merged=merged)
    agree(history, oracle, direct)
    # Where passes have no rows, records that pass all rules are not looked at one by one.
    assert direct.checks == {key: result for key, result in oracle.checks().items() if result in KEPT[keep]}
    assert +direct.check_counts == oracle.check_counts()
    assert not -direct.check_counts
    through = direct.watermark // 60_000_000
    closed = Counter({key: n for key, n in oracle.check_trials().items() if key[1] < through})
    assert +direct.check_trials == closed


@settings(max_examples=25)
@given(histories(kinds=KINDS))
def test_each_rule_that_judges_a_call_has_exactly_one_of_four_results(history: History) -> None:
    direct = direct_of(history.rules)
    direct.run(history, list(range(0, 60, 7)), [])
    judged = Counter((key[0], *key[2:4]) for key in {(*key[:2], *key[2:4]) for key in direct.checks})
    assert judged.total() <= len(direct.calls) * len({one.name for one in history.rules.contracts})
    per_rule: Counter[tuple[object, ...]] = Counter()
    for (_, *rule, _, _), count in direct.check_counts.items():
        per_rule[tuple(rule)] += count
    rows = Counter(key[2:] for key in direct.checks)
    assert per_rule == rows
