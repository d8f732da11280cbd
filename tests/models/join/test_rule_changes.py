"""The settings of votes change between two runs: each call is judged to its end by those it was accepted under."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from models.join import Join, JoinRules, SourceRule, TaskRules, VerdictRules
from oracle.direct import Direct
from oracle.histories import History
from oracle.order import File
from oracle.records import Rules

LIMITS = Rules(horizon_us=86_400_000_000, allowed_lateness_us=0, orphan_wait_us=86_400_000_000)
PLAIN = JoinRules(LIMITS.horizon_us, 0, LIMITS.orphan_wait_us)
HALF = {"success": None, "score": 0.5}


def call(name: str, hour: int) -> bytes:
    record = {"call_id": name, "occurred_at": f"2026-01-01T{hour:02d}:00:00Z", "task_type": "t", "model": "m"}
    return json.dumps(record).encode()


def vote(name: str, hour: int, **fields: Any) -> bytes:
    at = f"2026-01-01T{hour:02d}:00:00Z"
    record = {"outcome_id": str(hour), "call_id": name, "occurred_at": at, "source": "a", "success": True}
    return json.dumps(record | fields).encode()


def source(**settings: Any) -> JoinRules:
    return replace(PLAIN, verdict=VerdictRules(sources={"a": SourceRule(**settings)}))


CHANGES: dict[str, tuple[JoinRules, list[dict[str, Any]], tuple[str, str]]] = {
    "same_id": (
        source(same_id="revises"),
        [{"outcome_id": "v"}, {"outcome_id": "v", "success": False}],
        ("success", "failure"),
    ),
    "a clearing": (
        source(same_id="revises"),
        [{"outcome_id": "v"}, {"outcome_id": "v", "success": None}],
        ("success", "pending"),
    ),
    "abstain": (source(abstain=(0.5, 0.5)), [{}, HALF], ("failure", "pending")),
    "combine": (
        source(combine="any"),
        [{"author": "ann"}, {"author": "bob", "success": False}],
        ("failure", "success"),
    ),
    "require": (replace(PLAIN, verdict=VerdictRules(require=("b",))), [{}], ("success", "pending")),
    "require of a task type": (
        replace(PLAIN, tasks={"t": TaskRules(LIMITS.horizon_us, require=("b",))}),
        [{}],
        ("success", "pending"),
    ),
}


@pytest.mark.parametrize("back", [False, True])
@pytest.mark.parametrize(("changed", "votes", "verdicts"), CHANGES.values(), ids=list(CHANGES))
def test_a_change_decides_calls_that_are_accepted_from_then_on(
    changed: JoinRules, votes: list[dict[str, Any]], verdicts: tuple[str, str], *, back: bool
) -> None:
    before, after = (changed, PLAIN) if back else (PLAIN, changed)
    direct = Direct(before)
    direct.run(History(LIMITS, (File("calls", (call("old", 1),)),)), [], [])
    direct.joins = {shard: Join.from_state(join.state(), after) for shard, join in direct.joins.items()}
    outcomes = [vote(name, hour, **fields) for hour, fields in enumerate(votes, 3) for name in ("old", "new")]
    files = (File("calls", (call("new", 2),)), File("outcomes", tuple(outcomes)))
    direct.run(History(LIMITS, files), [2], [True])
    found = [direct.newest[name]["verdict"] if name in direct.newest else "pending" for name in ("old", "new")]
    assert found == list(reversed(verdicts) if back else verdicts)


@pytest.mark.parametrize(("verdict", "dead"), [("success", 0), ("failure", 1)])
def test_an_edition_that_waits_is_judged_by_the_rules_of_its_call(verdict: str, dead: int) -> None:
    """It was let in by the rules in force; when its call comes, others may be."""
    revises = source(same_id="revises")
    direct = Direct(revises)
    early = (vote("late", 1, outcome_id="v", success=False), vote("late", 2, outcome_id="v"))
    direct.run(History(LIMITS, (File("outcomes", early),)), [], [])
    assert direct.tally["waiting"] == 2
    after = PLAIN if dead else revises
    direct.joins = {shard: Join.from_state(join.state(), after) for shard, join in direct.joins.items()}
    direct.run(History(LIMITS, (File("calls", (call("late", 3),)),)), [], [])
    assert (direct.newest["late"]["verdict"], direct.tally["dead_letters"]) == (verdict, dead)
