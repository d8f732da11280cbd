"""The join where histories of a few records do not reach: change of settings, many sources."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from xxhash import xxh3_64_intdigest

from models.join import Join, JoinRules, VerdictRules
from models.join.held_calls import fold_digest
from models.join.migrations import names_in_digests
from models.state import StateError
from oracle.direct import Direct, decoder_of
from oracle.histories import History
from oracle.order import File
from oracle.records import Rules

BEFORE = Rules(horizon_us=86_400_000_000, allowed_lateness_us=0, orphan_wait_us=86_400_000_000, precedence=("a", "b"))


def _call(name: str, hour: int) -> bytes:
    call = {"call_id": name, "occurred_at": f"2026-01-01T{hour:02d}:00:00Z", "task_type": "t", "model": "m"}
    return json.dumps(call).encode()


def _outcome(call: str, source: str, hour: int, *, success: bool) -> bytes:
    at = f"2026-01-01T{hour:02d}:00:00Z"
    outcome = {"outcome_id": source, "call_id": call, "occurred_at": at, "source": source, "success": success}
    return json.dumps(outcome).encode()


@given(st.integers(1, 5))
def test_a_call_is_judged_to_the_end_under_the_settings_it_was_accepted_under(cut: int) -> None:
    """The precedence is turned round between two batches: old calls keep the old one, wherever the batches are cut."""
    first = History(BEFORE, (File("calls", (_call("old", 1),)),))
    second = (
        File("calls", (_call("new", 2),)),
        File(
            "outcomes",
            (
                _outcome("old", "a", 3, success=True),
                _outcome("old", "b", 4, success=False),
                _outcome("new", "a", 3, success=True),
                _outcome("new", "b", 4, success=False),
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
        join.shard.source_code(source)
    calls = File("calls", (_call("c", 1),))
    history = History(BEFORE, (calls, File("outcomes", (_outcome("c", sources[-1], 2, success=True),))))
    direct = Direct(JoinRules())
    direct.joins = {shard: Join.from_state(join.state(), JoinRules()) for shard in direct.joins}
    direct.run(history, [1], [False])
    assert direct.newest["c"]["source"] == sources[-1]


@pytest.mark.slow
def test_a_change_of_settings_too_many_is_refused_and_both_remedies_work() -> None:
    """A held call stores the version of its rules in one byte."""
    join = Join(JoinRules(horizon_us=0))
    for horizon_us in range(1, 255):
        join = Join.from_state(join.state(), JoinRules(horizon_us=horizon_us))
    with pytest.raises(
        StateError, match=r"at most 254 times.*settings of the last run, or give the same command a new --out"
    ):
        Join.from_state(join.state(), JoinRules(horizon_us=255))
    last = JoinRules(horizon_us=254)
    assert Join.from_state(join.state(), last).shard.rules == last
    assert Join(JoinRules(horizon_us=255)).shard.version == 0


def test_names_that_no_held_call_has_any_more_are_forgotten() -> None:
    """A run id in `config` must not grow the state for ever."""
    rules = Rules(horizon_us=60_000_000, allowed_lateness_us=0, orphan_wait_us=60_000_000, precedence=())
    made = [
        {"call_id": f"c{i}", "occurred_at": f"2026-01-01T{i // 60 % 24:02d}:{i % 60:02d}:00Z", "task_type": "t"}
        | {"model": "m", "config": f"run-{i}"}
        for i in range(1440)
    ]
    calls = File("calls", tuple(json.dumps(call).encode() for call in made))
    direct = Direct(JoinRules(60_000_000, 0, 60_000_000))
    for join in direct.joins.values():
        join.shard.learn_groups([("t", "m", f"earlier-{i}") for i in range(5000)])
    direct.run(History(rules, (calls,)), list(range(0, 1440, 100)), [True] * 20)
    assert all(len(join.shard.groups) < 1100 for join in direct.joins.values())
    assert direct.tally["calls"] == 1440
    assert direct.tally["expired"] == 1440 - sum(len(join.shard.held) for join in direct.joins.values())


def test_a_repeat_of_a_held_call_is_a_duplicate_also_after_the_horizon_was_shortened() -> None:
    """The call is judged under its own settings, and so is whether it still is held."""
    rules = JoinRules(BEFORE.horizon_us, 0, BEFORE.orphan_wait_us)
    direct = Direct(rules)
    direct.run(History(BEFORE, (File("calls", (_call("old", 1),)),)), [], [])
    shorter = replace(rules, horizon_us=3_600_000_000)
    direct.joins = {shard: Join.from_state(join.state(), shorter) for shard, join in direct.joins.items()}
    direct.run(History(BEFORE, (File("calls", (_call("later", 9), _call("old", 1))),)), [1], [], merged=True)
    assert direct.tally["duplicates"] == 1
    assert direct.tally["dead_letters"] == 0


def test_a_repeat_is_compared_by_the_names_that_were_sent_whatever_aliases_have_come_or_gone() -> None:
    sent, other = _call("c", 1), _call("c", 1).replace(b'"m"', b'"n"')
    aliased = replace(BEFORE, aliases={"model": {"m": "n"}})
    for first, second in ((BEFORE, aliased), (aliased, BEFORE), (aliased, aliased)):
        # Where the alias is new, the repeat brings the name as it was sent, among the labels that the call lacked.
        counted = "completed" if first is BEFORE else "duplicates"
        direct = Direct(JoinRules(BEFORE.horizon_us, 0, BEFORE.orphan_wait_us))
        direct.run(History(first, (File("calls", (sent,)),)), [], [])
        direct.run(History(second, (File("calls", (_call("d", 2), sent, other)),)), [1], [True], merged=True)
        assert (direct.tally[counted], direct.dead) == (1, {("conflict", "c"): 1})


def test_the_name_that_differs_is_named_also_where_an_alias_of_another_has_come_since() -> None:
    sent, other = _call("c", 1), _call("c", 1).replace(b'"m"', b'"m", "config": "v2"')
    aliased = replace(BEFORE, aliases={"model": {"m": "n"}})
    for first, second in ((BEFORE, aliased), (aliased, BEFORE), (aliased, aliased), (BEFORE, BEFORE)):
        direct = Direct(JoinRules(BEFORE.horizon_us, 0, BEFORE.orphan_wait_us))
        direct.run(History(first, (File("calls", (sent,)),)), [], [])
        direct.run(History(second, (File("calls", (other,)),)), [], [])
        assert direct.differing == ["config"]


def test_digests_of_version_4_become_those_of_the_decoder() -> None:
    """They were of segment and error alone; names were as they had been sent."""
    lines = [_call("c", 1), _call("d", 2).replace(b'"m"', b'"m ", "error": "e", "config": "v\xc3\xa9"')]
    kinds, places = np.zeros(2, np.uint8), np.arange(2)
    calls = decoder_of(BEFORE).decode(lines, kinds, places.astype(np.int32), places, ["calls"] * 2).calls
    rare = [xxh3_64_intdigest(deciding) for deciding in (b"[null,null]", b'[null,"e"]')]
    old = {
        "groups": (("t", "m", "default"), ("t", "m ", "v\u00e9")),
        "held": {"calls": {"group": places, "digest": fold_digest(np.array(rare, np.uint64)).astype(np.uint32)}},
    }
    assert names_in_digests(old)["held"]["calls"]["digest"].tolist() == fold_digest(calls.digest).tolist()
