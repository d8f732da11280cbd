"""The join where histories of a few records do not reach: change of settings, many sources."""

from __future__ import annotations

import json
import pickle
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.join import Join
from models.ledger import VerdictRules
from models.rules import JoinRules
from oracle.direct import Direct
from oracle.histories import History
from oracle.order import File
from oracle.records import Rules

BEFORE = Rules(horizon_us=86_400_000_000, allowed_lateness_us=0, orphan_wait_us=86_400_000_000, precedence=("a", "b"))


def _call(name: str, hour: int) -> bytes:
    call = {"call_id": name, "occurred_at": f"2026-01-01T{hour:02d}:00:00Z", "task_type": "t", "model": "m"}
    return json.dumps(call).encode()


def _said(call: str, source: str, hour: int, *, success: bool) -> bytes:
    at = f"2026-01-01T{hour:02d}:00:00Z"
    said = {"outcome_id": source, "call_id": call, "occurred_at": at, "source": source, "success": success}
    return json.dumps(said).encode()


@given(st.integers(1, 5))
def test_a_call_is_judged_to_the_end_under_the_settings_it_was_accepted_under(cut: int) -> None:
    """The precedence is turned round between two batches: old calls keep the old one, wherever the batches are cut."""
    first = History(BEFORE, (File("calls", (_call("old", 1),)),))
    second = (
        File("calls", (_call("new", 2),)),
        File(
            "outcomes",
            (
                _said("old", "a", 3, success=True),
                _said("old", "b", 4, success=False),
                _said("new", "a", 3, success=True),
                _said("new", "b", 4, success=False),
            ),
        ),
    )
    rules = JoinRules(BEFORE.horizon_us, 0, BEFORE.orphan_wait_us, {}, VerdictRules(("a", "b")))
    direct = Direct(rules)
    direct.run(first, [], [])
    turned = replace(rules, verdict=VerdictRules(("b", "a")))
    direct.joins = {shard: Join.from_state(join.state(), turned) for shard, join in direct.joins.items()}
    direct.run(History(BEFORE, second), [cut], [True])
    assert direct.newest["old"]["verdict"] == "success"
    assert direct.newest["new"]["verdict"] == "failure"


def test_forty_thousand_sources_do_not_end_the_pipeline() -> None:
    """`source` is free text."""
    sources = [f"s{i}" for i in range(40_000)]
    join = Join(JoinRules())
    for source in sources:
        join.source_code(source)
    calls = File("calls", (_call("c", 1),))
    history = History(BEFORE, (calls, File("outcomes", (_said("c", sources[-1], 2, success=True),))))
    direct = Direct(JoinRules())
    direct.joins = {shard: Join.from_state(join.state(), JoinRules()) for shard in direct.joins}
    direct.run(history, [1], [False])
    assert direct.newest["c"]["source"] == sources[-1]


def test_a_state_of_another_version_is_refused_with_what_to_do() -> None:
    """Not read wrongly."""
    state = pickle.dumps({"version": 99})
    with pytest.raises(ValueError, match="start afresh"):
        Join.from_state(state, JoinRules())
