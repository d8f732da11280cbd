"""The files that `aftercall simulate` writes."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from flows.demo.simulate import simulate


def test_the_files_hold_what_the_truth_counts(tmp_path: Path) -> None:
    made = simulate(tmp_path / "new", days=3, calls_per_day=400, seed=5)
    truth = json.loads(made.truth.read_text())
    assert truth == made.content
    calls = [json.loads(line) for line in made.calls.read_text().splitlines()]
    outcomes = [json.loads(line) for line in made.outcomes.read_text().splitlines()]
    ids = {call["call_id"] for call in calls}
    assert len(ids) == truth["calls"]
    assert len({outcome["outcome_id"] for outcome in outcomes}) == truth["outcomes"] + truth["orphans"]
    repeated = len(calls) + len(outcomes) - truth["calls"] - truth["outcomes"] - truth["orphans"]
    assert repeated == truth["duplicates"]
    assert len({o["outcome_id"] for o in outcomes if o["call_id"] not in ids}) == truth["orphans"]
    assert truth["start"] <= truth["incident"]["changed_at"] <= truth["end"]
    assert truth["incident"]["rate_before"] - truth["incident"]["rate_after"] == pytest.approx(0.12)


def test_every_statement_asserts_one_thing(tmp_path: Path) -> None:
    made = simulate(tmp_path, days=3, calls_per_day=400, seed=6)
    for line in made.outcomes.read_text().splitlines():
        outcome = json.loads(line)
        assert sum(key in outcome for key in ("success", "score", "action")) == 1


def test_the_same_seed_writes_the_same_bytes(tmp_path: Path) -> None:
    one = simulate(tmp_path / "one", days=1, calls_per_day=100, seed=5)
    two = simulate(tmp_path / "two", days=1, calls_per_day=100, seed=5)
    for mine, theirs in ((one.calls, two.calls), (one.outcomes, two.outcomes), (one.truth, two.truth)):
        assert mine.read_bytes() == theirs.read_bytes()


@pytest.mark.parametrize("wrong", [{"days": 0}, {"calls_per_day": -1}, {"days": float("nan")}])
def test_lengths_and_volumes_must_be_positive(tmp_path: Path, wrong: dict[str, float]) -> None:
    with pytest.raises(ValueError, match=r"simulate: \w+ must be > 0; got"):
        simulate(tmp_path, **wrong)  # type: ignore[arg-type]
