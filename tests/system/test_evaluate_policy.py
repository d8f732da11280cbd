"""`aftercall evaluate-policy` on the snapshot of a replay: its answers, and its sentences for what it cannot answer."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from system.commands import aftercall, assert_one_sentence, call, lines, outcome, table

pytestmark = pytest.mark.slow
DRAWN = ("m-0", "m-1", "m-1", "m-1")


@pytest.fixture(scope="module")
def snapshot(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """400 calls that followed a recommendation, a quarter to m-0, and 5 of another task type that followed none."""
    folder = tmp_path_factory.mktemp("policies")
    drawn = [DRAWN[number % 4] for number in range(400)]
    shares = {"m-0": 0.25, "m-1": 0.75}
    calls = [
        call(number, model=arm, config="v1", recommendation_id="r", propensity=shares[arm])
        for number, arm in enumerate(drawn)
    ]
    calls += [call(number, call_id=f"plain-{number}", task_type="plain") for number in range(400, 405)]
    calls += calls[:50]  # delivered twice
    outcomes = [outcome(number, success=number % 8 != 0) for number in range(400)]
    (folder / "calls.jsonl").write_bytes(lines(calls))
    (folder / "outcomes.jsonl").write_bytes(lines(outcomes))
    files = ("--calls", "calls.jsonl", "--outcomes", "outcomes.jsonl")
    assert aftercall(folder, "replay", *files, "--out", "out").returncode == 0
    return folder


def test_what_was_followed_has_its_plain_rate_and_arms_have_theirs(snapshot: Path) -> None:
    done = aftercall(snapshot, "evaluate-policy", "summarise", "--snapshot", "out", "--json")
    found = json.loads(done.stdout)
    ((plain,),) = table(
        snapshot / "out", "SELECT avg((verdict = 'success')::INT) FROM calls WHERE task_type = 'summarise'"
    )
    rows = {row["policy"]: row for row in found["policies"]}
    assert (found["calls"], found["with_propensity"], found["verdicts"]) == (400, 400, 400)
    for name in ("ips", "snips", "dr"):
        assert rows["followed"][name]["rate"] == pytest.approx(plain)
        assert rows["fixed:m-0/v1"][name]["rate"] == pytest.approx(0.5)
        assert rows["fixed:m-1/v1"][name]["rate"] == pytest.approx(1)
    assert aftercall(snapshot, "evaluate-policy", "summarise", "--snapshot", "out").returncode == 0


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["plain"], 4, "none of 5 has, 0 have a recommendation_id"),
        (["other"], 1, "got 'other'"),
        (["summarise", "--policy", "fixed:m-7/v1"], 2, "got 'm-7/v1'"),
        (["summarise", "--policy", "best"], 2, "got 'best'"),
        (["summarise", "--policy", "weights:none.json"], 1, "none.json"),
    ],
)
def test_what_cannot_be_answered_is_one_sentence(snapshot: Path, arguments: list[str], code: int, said: str) -> None:
    done = aftercall(snapshot, "evaluate-policy", *arguments, "--snapshot", "out")
    assert_one_sentence(done, code)
    assert said in done.stderr
