"""What a contract would have flagged in past calls, and whether that mattered."""

from __future__ import annotations

import json
import random
from collections import Counter
from pathlib import Path
from typing import Any, Final

import pytest

from aftercall.contracts.contract_set import ContractSet
from aftercall.contracts.engine import judge
from aftercall.contracts.files import read_contracts
from aftercall.times import parse_time
from flows.contract_check.report import check
from flows.contract_check.verdicts import verdicts_of
from flows.replay import Replay, run
from flows.reports.snapshot_reader import open_snapshot
from flows.settings import load
from harness.contracts import contract

ROOT: Final = Path(__file__).resolve().parents[3]
RULES: tuple[dict[str, Any], ...] = (
    {"id": "fast", "type": "latency", "max": 2000},
    {"id": "fresh", "type": "stale_data", "severity": "critical"},
    {"id": "gold", "type": "cost", "max": 0.01, "when": {"attrs.tier": "gold"}},
    {"id": "budget", "type": "session_budget", "calls": 3},
    {"id": "harm", "type": "safety"},
)
SETTINGS = load(None)


def traffic(folder: Path, count: int = 600, answered: float = 1.0) -> tuple[list[dict[str, Any]], Path, Path]:
    """Calls of which a tenth has stale data, and then fails far more often; latency says nothing about success."""
    draws = random.Random(3)
    calls, outcomes = [], []
    for at in range(count):
        stale = draws.random() < 0.1
        record: dict[str, Any] = {
            "call_id": f"c{at}",
            "occurred_at": f"2026-03-01T{at // 60 % 24:02d}:{at % 60:02d}:00Z",
            "task_type": "refund" if at % 3 else "triage",
            "model": "m",
            "latency_ms": draws.uniform(0, 4000),
            "session_id": f"s{at // 4}",
            "attrs": {"tier": draws.choice(["gold", "free"])},
        }
        if draws.random() < 0.8:
            record["cost_usd"] = draws.uniform(0, 0.02)
        if draws.random() < 0.9 or stale:
            record["tool_calls"] = [{"name": "price", "stale": stale}]
        calls.append(record)
        if draws.random() < answered:
            success = draws.random() < (0.3 if stale else 0.95)
            outcome = {"outcome_id": f"o{at}", "call_id": f"c{at}", "source": "user_feedback", "success": success}
            outcomes.append({**outcome, "occurred_at": "2026-03-02T12:00:00Z"})
    return calls, write(folder / "calls.jsonl", calls), write(folder / "outcomes.jsonl", outcomes)


def write(path: Path, records: list[dict[str, Any]]) -> Path:
    path.write_text("".join(json.dumps(record) + "\n" for record in records))
    return path


def rule(report: dict[str, Any], name: str) -> dict[str, Any]:
    return next(one for one in report["contracts"][0]["rules"] if one["rule"] == name)


def test_every_result_of_every_call_is_counted_once(tmp_path: Path) -> None:
    calls, path, _ = traffic(tmp_path)
    one = contract(*RULES)
    report = check(ContractSet([one]), [path], [], SETTINGS)
    wanted = Counter((found.rule, found.result) for call in calls for found in judge(one, call))
    for name in ("fast", "fresh", "gold", "harm"):
        found = rule(report, name)
        assert found["failed"] == wanted[name, "fail"]
        assert found["checked"] - found["failed"] == wanted[name, "pass"]
        assert sum(found["not_applicable"].values()) == wanted[name, "not_applicable"]
        assert sum(found["errors"].values()) == wanted[name, "error"]
    for found in report["contracts"][0]["rules"]:
        counted = found["checked"] + sum(found["not_applicable"].values()) + sum(found["errors"].values())
        assert counted == report["judged"] == report["calls"] == len(calls)
    assert rule(report, "gold")["not_applicable"].keys() == {
        "when: attrs.tier is not 'gold'",
        "the call has no cost_usd",
    }
    assert rule(report, "harm")["checked"] == 0


def test_a_failure_is_shown_with_its_line(tmp_path: Path) -> None:
    calls, path, _ = traffic(tmp_path)
    report = check(ContractSet([contract(*RULES)]), [path], [], SETTINGS)
    places = rule(report, "fast")["places"]
    slow = [line for line, call in enumerate(calls, 1) if call["latency_ms"] > 2000]
    assert [place["line"] for place in places] == slow[:5]
    assert {place["file"] for place in places} == {str(path)}
    assert places[0]["details"].endswith(" ms, more than 2000")


def test_sessions_are_judged_in_the_order_of_their_calls(tmp_path: Path) -> None:
    calls, _, _ = traffic(tmp_path)
    random.Random(1).shuffle(calls)
    report = check(ContractSet([contract(*RULES)]), [write(tmp_path / "shuffled.jsonl", calls)], [], SETTINGS)
    assert rule(report, "budget")["failed"] == len(calls) / 4  # the fourth of each session
    fourth = {at for at, call in enumerate(calls, 1) if int(call["call_id"][1:]) % 4 == 3}
    assert {place["line"] for place in rule(report, "budget")["places"]} <= fourth


def test_what_a_rule_is_worth_is_said_in_plain_words(tmp_path: Path) -> None:
    _, path, outcomes = traffic(tmp_path, 3000)
    report = check(ContractSet([contract(*RULES)]), [path], [outcomes], SETTINGS)
    fresh, fast = rule(report, "fresh")["worth"], rule(report, "fast")["worth"]
    assert fresh["state"] == "worse"
    assert fresh["low"] > 0.5
    assert fresh["words"].endswith(": calls that violate it fail more often")
    assert fast["state"] == "nothing"
    assert fast["words"].endswith(": says nothing about success")
    assert rule(report, "harm")["worth"]["state"] == "not_enough"


def test_few_answers_say_nothing(tmp_path: Path) -> None:
    _, path, outcomes = traffic(tmp_path, 300, answered=0.05)
    found = rule(check(ContractSet([contract(*RULES)]), [path], [outcomes], SETTINGS), "fast")["worth"]
    assert found["state"] == "not_enough"


def test_the_rate_after_is_that_of_a_replay_with_the_violations_as_statements(tmp_path: Path) -> None:
    """As the pipeline states them: at the call's own time, of source `contract`, below a user's word."""
    calls, path, outcomes = traffic(tmp_path, 400, answered=0.2)
    one = contract(*RULES)
    report = check(ContractSet([one]), [path], [outcomes], SETTINGS)
    stated = [
        {"outcome_id": "x", "call_id": call["call_id"], "occurred_at": call["occurred_at"], "source": "contract"}
        for call in calls
        if any(found.rule == "fresh" and found.result == "fail" for found in judge(one, call))
    ]
    more = write(tmp_path / "contract.jsonl", [{**outcome, "success": False} for outcome in stated])
    verdicts = verdicts_of([path], [outcomes, more], tmp_path, SETTINGS)
    assert report["groups"]
    for group in report["groups"]:
        ids = [call["call_id"] for call in calls if call["task_type"] == group["task_type"]]
        ended = Counter(verdicts[one].verdict for one in ids)
        assert group["after"] == ended["success"] / (ended["success"] + ended["failure"])
        assert group["before"] > group["after"]
        assert group["words"].endswith(': few calls are answered; consider verdict = "never"')


def test_the_pipeline_judges_as_the_check_does(tmp_path: Path) -> None:
    """The same counts per rule, and the success rates that the check foretells, by a replay with the contract."""
    _, path, outcomes = traffic(tmp_path, 400, answered=0.2)
    (tmp_path / "contracts").mkdir()
    rules = [{**one, "severity": "critical"} if one["id"] == "gold" else one for one in RULES]
    file = tmp_path / "contracts/c.json"
    file.write_text(json.dumps({"contract": "c", "version": "1", "rule": rules}))
    settings = load(None, contracts={"folder": str(file.parent)})
    report = check(read_contracts([file]), [path], [outcomes], settings)
    run(Replay([path], [outcomes], tmp_path / "out", settings))
    with open_snapshot(tmp_path / "out/outcomes.duckdb") as base:
        rates = base.sql(
            "SELECT task_type, sum(successes) / sum(resolved) FROM rates WHERE grain = '1h' AND model IS NOT NULL"
            " AND config IS NOT NULL GROUP BY ALL"
        ).fetchall()
        checks = base.sql(
            "SELECT rule, sum(checked), sum(failed), sum(not_applicable), sum(errors) FROM check_rates"
            " WHERE grain = '1h' AND model IS NOT NULL AND config IS NOT NULL GROUP BY ALL"
        ).fetchall()
    assert {group["task_type"]: group["after"] for group in report["groups"]} == pytest.approx(dict(rates))
    assert {name: counts for name, *counts in checks} == {
        one["rule"]: [
            one["checked"],
            one["failed"],
            sum(one["not_applicable"].values()),
            sum(one["errors"].values()),
        ]
        for one in report["contracts"][0]["rules"]
    }


@pytest.mark.parametrize(("verdict", "severity", "states"), [("never", "critical", False), ("major", "major", True)])
def test_what_states_a_failure_follows_the_settings(
    tmp_path: Path,
    verdict: str,
    severity: str,
    states: bool,  # noqa: FBT001 - a case
) -> None:
    _, path, outcomes = traffic(tmp_path, 100, answered=0.2)
    one = ContractSet([contract({"type": "stale_data", "severity": severity})])
    report = check(one, [path], [outcomes], load(None, contracts={"verdict": verdict}))
    assert bool(report["groups"]) is states


def test_where_all_calls_are_answered_the_rate_stays(tmp_path: Path) -> None:
    _, path, outcomes = traffic(tmp_path, 400)
    for group in check(ContractSet([contract(*RULES)]), [path], [outcomes], SETTINGS)["groups"]:
        assert group["before"] == group["after"]  # a user's word overrides each violation
        assert "few calls" not in group["words"]


def test_versions_judge_by_time_and_one_that_judges_nothing_is_a_warning(tmp_path: Path) -> None:
    calls, path, _ = traffic(tmp_path)
    versions = [
        contract(*RULES, version="1"),
        contract(*RULES, version="2", effective_from="2026-03-01T05:00:00Z"),
        contract(*RULES, version="3", effective_from="2026-04-01T00:00:00Z"),
    ]
    report = check(ContractSet(versions), [path], [], SETTINGS)
    before = sum(parse_time(call["occurred_at"]) < parse_time("2026-03-01T05:00:00Z") for call in calls)
    assert [one["judged"] for one in report["contracts"]] == [before, len(calls) - before, 0]
    (warning,) = report["warnings"]
    assert warning.startswith("c.toml: c@3 has judged no call; the task types of the files are refund, triage (")


FED: Final = {"langfuse_traces": {"latency", "cost"}, "metr_runs": {"latency"}}
"""Which kinds recorded calls can feed; docs/contracts.md and docs/results.md say so."""


@pytest.mark.real
@pytest.mark.parametrize(("name", "kinds"), FED.items())
def test_recorded_calls_feed_the_kinds_that_the_documents_name(
    real_data: Path, name: str, kinds: set[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(str(ROOT / "examples/contracts"))
    report = check(read_contracts([ROOT / "examples/contracts"]), [real_data / name / "calls.jsonl"], [], SETTINGS)
    rules = report["contracts"][0]["rules"]
    assert {one["type"] for one in rules if one["checked"]} == kinds
    for one in rules:
        assert one["checked"] + sum(one["not_applicable"].values()) == report["calls"] > 0
        assert one["errors"] == {}
