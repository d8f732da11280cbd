"""Trials carry the unit of evidence of their call: the session of its first record, else its parent, else none."""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np
import pytest
from xxhash import xxh3_64_intdigest

from aftercall.times import MINUTE_US
from models import plain
from models.arrays import I32
from models.join.join import Join
from models.join.units import HeldUnits
from oracle.direct import Direct, join_rules
from oracle.histories import History
from oracle.live import START_S, call, history, outcome
from oracle.records import Rules

RULES = Rules(
    horizon_us=60 * MINUTE_US,
    allowed_lateness_us=MINUTE_US,
    task_horizon_us={"silent": 30 * MINUTE_US},
    silence={"silent": "success"},
    revises=frozenset({"judge"}),
    combine={"judge": "majority"},
)
CUTS = [[3], list(range(20))]
Sent = tuple[list[dict[str, Any]], list[dict[str, Any]]]


def _of(*names: str, **fields: Any) -> list[dict[str, Any]]:
    """Calls of the first minute, in the order of their names."""
    return [call(name, START_S + place, **fields) for place, name in enumerate(names)]


def _said(name: str, after_s: float, *, success: bool = True, **fields: Any) -> dict[str, Any]:
    return outcome(name, START_S + after_s, success=success, **fields)


PATHS: dict[str, Sent] = {
    "a first verdict": (_of("a", "b"), [_said("a", 30), _said("b", 90, success=False)]),
    "an outcome before its call": ([call("a", START_S + 20)], [_said("a", 1), _said("a", 95, source="b")]),
    "several statements": (_of("a"), [_said("a", 30 * i, success=i % 2 == 0, outcome_id=f"o{i}") for i in range(5)]),
    "votes": (
        _of("a", "b"),
        [_said("a", 70 * i, success=i != 1, source="judge", author=f"p{i}", outcome_id=f"o{i}") for i in range(3)],
    ),
    "an edition": (_of("a"), [_said("a", 5, source="judge"), _said("a", 80, source="judge", success=False)]),
    "a retraction": (_of("a"), [_said("a", 5), {**_said("a", 80), "action": "retract", "outcome_id": "r"}]),
    "an error": (_of("a", "b", error="timeout"), [_said("b", 90, source="human_review")]),
    "silence": (_of("a", "b", task_type="silent"), [_said("b", 5)]),
    "attempts": (_of("a", attempts=[{"model": "m", "error": "429"}, {"model": "m"}]), [_said("a", 40)]),
    "a second record": (
        [*_of("a"), call("a", START_S + 30, session_id="s", attempts=[{"model": "m", "error": "429"}])],
        [_said("a", 80)],
    ),
    "an error that comes later": (
        [*_of("a"), call("a", START_S + 150, error="timeout", attempts=[{"model": "m", "error": "429"}])],
        [_said("a", 30)],
    ),
}
"""Ways that lead to trials."""
CLOCK = [call("clock", START_S + 7200, task_type="tick")], [outcome("clock", START_S + 7200, success=True)]


def _history(sent: Sent, **fields: Any) -> History:
    """The calls with these fields, where they have none of them; the clock passes every minute of theirs."""
    calls, outcomes = sent
    return history([*({**fields, **one} for one in calls), *CLOCK[0]], [*outcomes, *CLOCK[1]], RULES)


def _run(sent: History, cuts: list[int], *, resumed: bool = False) -> Direct:
    direct = Direct(join_rules(sent.rules))
    direct.run(sent, cuts, [resumed] * len(cuts))
    return direct


def _trials(direct: Direct) -> Counter[tuple[Any, ...]]:
    """By (group, minute, success), without those of the clock."""
    counted = {"ts": 1, "tf": 0}
    return +Counter(
        {
            (group, minute, counted[name]): count
            for (group, minute, name), count in direct.trials.items()
            if name in counted and group[0] != "tick"
        }
    )


def _over_units(direct: Direct) -> Counter[tuple[Any, ...]]:
    summed: Counter[tuple[Any, ...]] = Counter()
    for (group, minute, _, success), count in direct.units.items():
        summed[group, minute, success] += count
    return summed


@pytest.mark.parametrize("cuts", CUTS)
@pytest.mark.parametrize("path", PATHS)
def test_where_every_call_has_a_session_the_units_have_all_trials(path: str, cuts: list[int]) -> None:
    sent = _history(PATHS[path], session_id="s", parent_call_id="p")
    for direct in (_run(sent, cuts), _run(sent, cuts, resumed=True)):
        assert _over_units(direct) == _trials(direct)
        assert {unit for _, _, unit, _ in direct.units} == {xxh3_64_intdigest(b"s")}
        assert direct.units == sent.oracle().units()
    assert direct.units


@pytest.mark.parametrize("path", PATHS)
def test_without_sessions_and_parents_nothing_is_sent_and_nothing_is_stored(path: str) -> None:
    calls, outcomes = PATHS[path]
    bare = [{name: value for name, value in one.items() if name != "session_id"} for one in calls]
    direct = _run(_history((bare, outcomes)), [4])
    assert _trials(direct)
    assert not direct.units
    assert not any("units" in join.state()["held"] for join in direct.joins.values())
    assert all(join.shard.held.units.of(join.shard.held.index.rows()) is None for join in direct.joins.values())


def test_children_are_one_unit_with_each_other_and_with_the_session_that_has_their_parents_name() -> None:
    of_children = _of("a", "b", parent_call_id="p"), [_said("a", 5), _said("b", 8)]
    in_session = [call("c", START_S + 3, session_id="p", parent_call_id="q")], [_said("c", 9)]
    both = of_children[0] + in_session[0], of_children[1] + in_session[1]
    (counted,) = _run(_history(both), []).units.items()
    assert counted == ((("support", "large", "v1"), 20_000 * 1440, xxh3_64_intdigest(b"p"), 1), 3)


def test_a_second_record_that_brings_a_session_or_a_parent_does_not_change_the_unit() -> None:
    later = [call("a", START_S + 20, session_id="s"), call("b", START_S + 21, session_id="s", parent_call_id="q")]
    sent = [call("a", START_S), call("b", START_S + 1, parent_call_id="p"), *later], [_said("a", 5), _said("b", 30)]
    for cuts in CUTS:
        assert {unit for _, _, unit, _ in _run(_history(sent), cuts, resumed=True).units} == {xxh3_64_intdigest(b"p")}


def test_calls_that_an_earlier_version_held_are_units_alone_and_later_ones_are_not() -> None:
    """Their trials are taken back as they were made: without a unit."""
    calls = [call(name, START_S + 60 * i, session_id="s") for i, name in enumerate("ab")]
    outcomes = [_said("a", 70), _said("a", 75, success=False, source="judge"), _said("b", 80)]
    direct = Upgraded(join_rules(RULES))
    direct.run(_history((calls, outcomes)), [1], [])
    assert direct.units == {(("support", "large", "v1"), 20_000 * 1440 + 1, xxh3_64_intdigest(b"s"), 1): 1}
    assert _over_units(direct) <= _trials(direct)


def test_a_row_that_is_used_again_has_the_unit_of_its_new_call() -> None:
    units = HeldUnits()
    units.put(_rows(1, 2), np.array([5, 2**64 - 1], np.uint64))
    units.put(_rows(2, 1000), np.array([0, 0], np.uint64))
    found = units.of(_rows(1000, 1, 2))
    assert found is not None
    assert found.tolist() == [0, 5, 0]
    assert units.state_of(_rows(2, 1000)) == {}
    units.put(_rows(1000), np.array([8], np.uint64))
    assert units.state_of(_rows(1, 1000))["units"].tolist() == [5, 8]


def _rows(*rows: int) -> I32:
    return np.array(rows, np.int32)


class Upgraded(Direct):
    """After the first batch it goes on from the state that the version without units would have left."""

    def _store(self, shard: str) -> None:
        super()._store(shard)
        if len(self._stored[shard]) == 1:
            state = plain.unpack(plain.pack(self.joins[shard].state()))
            state["held"].pop("units", None)
            self.joins[shard] = Join.from_state(Join.MIGRATIONS[7](state), self.rules, self.seed, self.most_early)
