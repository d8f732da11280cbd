"""The fast join and the slow oracle agree on every history, however it is cut and wherever it is resumed."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.join.join import MOST_EARLY
from oracle.agreement import agree
from oracle.direct import Direct, join_rules
from oracle.histories import History, histories
from oracle.kinds import KINDS, WITHOUT_SETTINGS

SEGMENTS: list[dict[str, frozenset[str]]] = [
    {},
    {"summarise": frozenset({"long_input"}), "route": frozenset()},
    dict.fromkeys(("summarise", "réponse", "route"), frozenset({"short", "long_input"})),
]


@pytest.mark.slow
@settings(max_examples=120)
@given(
    st.tuples(st.booleans(), st.frozensets(st.sampled_from(sorted(KINDS)))).flatmap(
        lambda drawn: histories(sorted_files=drawn[0], kinds=drawn[1] | WITHOUT_SETTINGS)
    ),
    st.lists(st.integers(1, 60), max_size=6),
    st.lists(st.booleans(), max_size=6),
    st.booleans(),
    st.sampled_from([None, None, 1, 2, 3]),
    st.sampled_from(SEGMENTS),
)
def test_the_join_equals_the_oracle_however_batches_are_cut(
    history: History,
    cuts: list[int],
    resumes: list[bool],
    merged: bool,  # noqa: FBT001 - drawn by Hypothesis
    most_waiting: int | None,
    segments: dict[str, frozenset[str]],
) -> None:
    """Counters, calls, verdicts, statements, dead letters, cells and closed trials; also where records come late."""
    history = history._replace(rules=replace(history.rules, most_waiting=most_waiting, segments=segments))
    oracle = history.oracle(merged=merged)
    most_early = MOST_EARLY if most_waiting is None else most_waiting
    watched = frozenset(history.rules.precedence[::2])
    direct = Direct(join_rules(history.rules), most_early=most_early, segments=segments, watched=watched)
    direct.run(history, cuts, resumes, merged=merged)

    agree(history, oracle, direct)


@settings(max_examples=40)
@given(histories(kinds=KINDS), st.booleans())
def test_a_verdict_is_issued_where_a_ledger_grew_or_the_verdict_changed(
    history: History,
    merged: bool,  # noqa: FBT001 - drawn by Hypothesis
) -> None:
    """Record by record: batches of several issue what is left of them."""
    oracle, direct = history.oracle(merged=merged), Direct(join_rules(history.rules))
    direct.run(history, list(range(len(history.order()))), [], merged=merged)
    names = ("seq", "verdict", "score", "source", "outcome_id", "reason", "age_s")
    assert {call_id: [[one[name] for name in names] for one in found] for call_id, found in direct.issued.items()} == {
        call_id: [[one[name] for name in names] for one in found] for call_id, found in oracle.issued().items()
    }
