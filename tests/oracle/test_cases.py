"""The recorded cases of statements, votes and fallbacks come out right, or are refused by name.

The cases lie beside this checkout; each test is skipped where they do not. Where a case lacks what the rules need (an
`author`, the `attempts`), it is written as its sender is asked to write it.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from oracle.histories import replayed
from oracle.order import File, reading_order
from oracle.records import Rules
from oracle.replay import Oracle

CASES = Path(__file__).resolve().parents[2].parent / "shared" / "cases"
Raw = dict[str, Any]


def unchanged(record: Raw) -> Raw | None:
    """As it was sent."""
    return record


def case(number: int, rules: Rules, written: Callable[[Raw], Raw | None] = unchanged) -> Oracle:
    """The oracle after a case; `written` gives a record as it should be sent, or None to leave it out."""
    folders = list(CASES.glob(f"{number}-*"))
    if not folders:
        pytest.skip(f"needs case {number} in ../shared/cases beside this checkout")
    files = []
    for kind in ("calls", "outcomes"):
        raw = [json.loads(line) for line in (folders[0] / f"{kind}.jsonl").read_text("utf-8").splitlines()]
        records = [record for record in map(written, raw) if record is not None]
        files.append(File(kind, tuple(json.dumps(record).encode() for record in records)))
    return replayed(rules, reading_order(files), len(files))


def verdicts(oracle: Oracle) -> dict[str, str]:
    """By call."""
    return {row["call_id"]: row["verdict"] for row in oracle.calls_rows() if not row["attempt"]}


def test_16_what_the_person_says_now_stands() -> None:
    oracle = case(16, Rules(revises=frozenset({"user_feedback"})))
    assert verdicts(oracle) == dict.fromkeys(("call-0000", "call-0001", "call-0002"), "failure")
    assert [row["statements"] for row in oracle.calls_rows()] == [2, 2, 2]
    assert oracle.counters()["dead_letters"] == 0


def test_16_without_the_setting_each_dead_letter_names_it() -> None:
    oracle = case(16, Rules())
    assert [dead.reason for dead in oracle.dead()] == ["conflict"] * 3
    assert oracle.named() == ["same_id"] * 3


def test_18_a_vote_is_cleared_under_its_own_id() -> None:
    """Ids that were never seen are refused, and `delete` is no action: both are written as they should be."""

    def written(record: Raw) -> Raw | None:
        if record.get("outcome_id") in ("c0", "c1", "c4"):
            clears = {"outcome_id": f"out-000{record['outcome_id'][1]}"}
            return {**record, **clears, **({"action": "retract"} if record["outcome_id"] == "c4" else {})}
        return record

    neutral = Rules(revises=frozenset({"user_feedback"}), abstain={"user_feedback": (0, 0)})
    oracle = case(18, neutral, written)
    assert verdicts(oracle) == {f"call-000{i}": "pending" for i in range(5)}
    assert oracle.counters()["dead_letters"] == 0


def test_18_as_it_is_sent_it_is_refused_by_a_name_that_helps() -> None:
    """`delete` is refused at the door, before the oracle."""

    def written(record: Raw) -> Raw | None:
        return None if record.get("action") == "delete" else record

    for rules, named in ((Rules(), "same_id"), (Rules(revises=frozenset({"user_feedback"})), "outcome_id")):
        oracle = case(18, rules, written)
        assert [dead.reason for dead in oracle.dead()] == ["no_verdict"] * 2
        assert oracle.named() == [named] * 2
        assert verdicts(oracle)["call-0003"] == "pending"


@pytest.mark.parametrize("how", ["newest", "majority", "mean", "all", "any"])
def test_22_one_of_two_clears_his_vote(how: str) -> None:
    def signed(record: Raw) -> Raw | None:
        user = record.get("attrs", {}).get("user")
        return record if user is None else {**record, "author": user}

    oracle = case(22, Rules(combine={"user_feedback": how}), signed)
    assert verdicts(oracle) == {"call-0000": "failure"}
    assert [row["stands"] for row in oracle.statements_rows()] == [True, False, False]


def test_24_all_must_pass_whoever_speaks_last() -> None:
    rules = Rules(pass_at={"relevance": 0.5, "groundedness": 0.8}, fail_at={"toxicity": 0.2})
    names = ("relevance", "toxicity", "groundedness")
    required = Rules(pass_at=rules.pass_at, fail_at=rules.fail_at, require=names)
    oracle = case(24, required)
    assert set(verdicts(oracle).values()) == {"failure"}
    assert {row["verdict_source"] for row in oracle.calls_rows()} == {"toxicity"}
    rates = {row["source"]: row["rate"] for row in oracle.source_rates_rows("1d")}
    assert rates == {"relevance": 1.0, "toxicity": 0.0, "groundedness": 1.0}
    lenient = Rules(
        pass_at=rules.pass_at, fail_at=rules.fail_at, require=("relevance", "groundedness"), precedence=names
    )
    assert set(verdicts(case(24, lenient)).values()) == {"failure"}


def test_26_the_attempt_that_answered_gets_the_thumb() -> None:
    first: dict[str, Raw] = {}

    def with_attempts(record: Raw) -> Raw | None:
        if "model" not in record:
            return record
        if record.get("error"):
            first[record["call_id"]] = {name: record.get(name) for name in ("model", "config", "error", "latency_ms")}
            return None
        tried = first.get(record["call_id"])
        return record if tried is None else {**record, "attempts": [tried]}

    oracle = case(26, Rules(), with_attempts)
    rates = {row["model"]: (row["calls"], row["successes"], row["failures"]) for row in oracle.rates_rows("1d")}
    assert rates == {"backup": (1, 1, 0), "large": (2, 1, 1)}
    assert oracle.counters()["attempts"] == 1


def test_26_without_attempts_the_dead_letter_names_the_field() -> None:
    oracle = case(26, Rules())
    assert ([dead.reason for dead in oracle.dead()], oracle.named()) == (["conflict"], ["model"])
