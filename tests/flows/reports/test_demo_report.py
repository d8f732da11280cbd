"""The report of the demo, from snapshots made by hand."""

from __future__ import annotations

import json
from pathlib import Path

import duckdb

from flows.reports.demo_report import report
from simulated.snapshot import END, alert, shown


def test_the_demo_report_compares_with_the_truth_and_adds_up(out: Path) -> None:
    truth = out / "truth.json"
    incident = {
        "task_type": "triage",
        "model": "atlas",
        "changed_at": "2026-09-19T05:00:00Z",
        "rate_before": 0.9,
        "rate_after": 0.7,
        "drop": 0.2,
    }
    truth.write_text(json.dumps({"incident": incident}))
    text = shown(lambda console: report(out, console, truth))
    assert "triage · atlas: 90.0 % -> 70.0 %, -20.0 points" in text
    assert "Found 13.0 h after it happened." in text
    assert "The estimated moment is 3.0 h too late." in text
    assert "When it was noticed: a drop of 20.0 points, interval 15.0 to 25.0: the true drop lies within." in text
    # Hours -200, -49 and -48 of atlas lie in the week before the change, its last hour after it.
    assert "All outcomes known by now: 85.0 % of 2,000 before, 70.0 % of 500 since, -15.0 points" in text
    assert "No false alarm." in text
    assert "atlas: 90.0 % of the calls before it changed, 2.0 % now." in text
    assert "120 records = 60 calls + 50 outcomes + 5 duplicates + 2 waiting + 3 dead letters" in text
    assert "60 calls = 10 pending + 30 successes + 15 failures + 5 expired" in text
    assert "Other alerts: 1 on improvements, 1 on latency, cost, tokens or scores, 1 that turned out" in text


def test_the_demo_report_counts_the_other_alerts_by_what_they_are_about(out: Path) -> None:
    with duckdb.connect(str(out / "outcomes.duckdb")) as base:
        base.execute("DELETE FROM alerts")
        alert(base, 1)
        alert(base, 2, config=None, state="closed", closed_at=END, evidence='{"part_of": "1"}')
        alert(base, 3, kind="quantile", metric="score:p10:judge")
        alert(base, 4, kind="shift", metric="cost_usd", direction="up")
        alert(base, 5, kind="volume", model=None, config=None, metric="responses:judge")
        alert(base, 6, kind="group_cap", model=None, config=None, metric="groups", direction="up")
    text = " ".join(shown(lambda console: report(out, console)).split())
    assert text.count("●") == 1
    for part in (
        "2 on latency, cost, tokens or scores",
        "1 on traffic or on sources of outcomes",
        "1 on the pipeline itself",
        "1 that turned out to be part of a wider change",
    ):
        assert part in text


def test_the_demo_report_owns_up_to_a_miss_and_to_false_alarms(out: Path) -> None:
    truth = out / "truth.json"
    incident = {
        "task_type": "triage",
        "model": "birch",
        "changed_at": "2026-09-19T05:00:00Z",
        "rate_before": 0.9,
        "rate_after": 0.8,
        "drop": 0.1,
    }
    truth.write_text(json.dumps({"incident": incident}))
    text = shown(lambda console: report(out, console, truth))
    assert "Not found" in text
    assert "False alarms: 1." in text


def test_a_quiet_run_without_truth_is_reported_too(out: Path) -> None:
    with duckdb.connect(str(out / "outcomes.duckdb")) as base:
        for table in ("alerts", "recommendations"):
            base.execute(f"DELETE FROM {table}")
    text = shown(lambda console: report(out, console, None))
    assert "No model got worse." in text
    assert "No recommendation has been issued." in text
    assert "Against the truth" not in text
