"""`aftercall insights` without a task type, `aftercall alerts` and `aftercall status`, on snapshots made by hand."""

from __future__ import annotations

import json
from datetime import timedelta
from pathlib import Path

import duckdb
import pytest
from typer.testing import CliRunner

from flows.cli.main import app
from flows.reports.alerts import read_alerts
from flows.reports.overview import overview
from flows.reports.overview_view import show_overview
from simulated.snapshot import END, alert, current, insert, shown

SLICES = [
    {"dimension": "error", "value": "timeout", "baseline": 0.99, "current": 0.8, "trials": 100, "share": 0.9},
    {"dimension": "source", "value": "judge", "baseline": 0.9, "current": 0.9, "trials": 50, "share": 0.1},
]
SPLIT = [
    {"dimension": dimension, "points": at, "low": at - 0.01, "high": at + 0.01, "value": value, **shares}
    for dimension, at, value, shares in (
        ("model", 0.001, "atlas", {"share_before": 0.5, "share_since": 0.5}),
        ("config", -0.038, "v2", {"share_before": 0.05, "share_since": 0.2}),
        ("within", -0.07, None, {"share_before": None, "share_since": None}),
    )
]
OTHERS = [
    {"metric": "score:judge", "text": "Mean score by 'judge' fell from 0.810 to 0.620", "over": False},
    {"metric": "latency_ms", "text": "Typical latency rose from 800 ms to 990 ms", "over": True},
]


@pytest.fixture
def many(out: Path) -> Path:
    """Four open alerts of different cost, and a task type without a verdict in the lookback."""
    with duckdb.connect(str(out / "outcomes.duckdb")) as base:
        base.execute("DELETE FROM alerts WHERE state != 'closed'")
        base.execute("DELETE FROM rates WHERE task_type = 'refund'")
        hour = {"task_type": "refund", "model": "atlas", "config": "default", "grain": "1h", "expired": 0}
        past = {"calls": 50, "resolved": 50, "successes": 40, "failures": 10, "pending": 0}
        fresh = {"calls": 9, "resolved": 0, "successes": 0, "failures": 0, "pending": 9}
        insert(base, "rates", **hour, **past, window_start=END - timedelta(hours=100))
        insert(base, "rates", **hour, **fresh, window_start=END - timedelta(hours=5))
        base.execute("DELETE FROM current_rates")
        current(base)
        alert(base, 11, failures_per_day=-3.0, direction="up", severity="info", model="birch")
        more = {"slices": SLICES, "split": SPLIT, "other_alarms": OTHERS, "evidence": {"outcomes": 1234}}
        alert(base, 12, failures_per_day=89.0, **{name: json.dumps(value) for name, value in more.items()})
        alert(base, 13, kind="volume", metric="calls", severity="warning", task_type="refund", model=None, config=None,
              reason="Traffic of task 'refund', all models fell to 0 calls an hour.")  # fmt: skip
        alert(base, 14, failures_per_day=400.0, task_type="*", severity="warning", caveat="No promise is made: thin.")
    return out / "outcomes.duckdb"


def test_the_costliest_alert_comes_first_and_says_where_and_what_to_do(many: Path) -> None:
    found = overview(many)
    assert [one["alert_id"] for one in found.alerts] == [f"{number:032x}" for number in (14, 12, 13, 11)]
    text = shown(lambda console: show_overview(found, console))
    first, then = text.split("●")[1:3]
    assert text.startswith("4 alerts are open, the costliest first:")
    assert "all tasks · atlas" in first
    assert "about 400 more failures a day" in first
    assert "No promise is made: thin." in first
    assert "Where it shows: error timeout (90% of it)." in then
    mix = "Changed mix of traffic: -3.8 points (-4.8 points to -2.8 points) from more of config v2 (5.0 % -> 20.0 %"
    assert mix in " ".join(then.split())
    assert "model" not in then.partition("Changed mix")[2].partition("What to do")[0], "it may be nothing"
    assert "(-25.0 to -15.0; 1,234 outcomes)" in then
    fell, rose = (one["text"] for one in OTHERS)
    assert f"At the same time: {fell}; {rose} (over)." in then
    assert "At the same time" not in first
    assert "What to do: send 98.0 % of the calls to birch and 2.0 % to atlas" in then
    assert "check what sends the calls of refund" in text


def test_each_task_type_has_a_line_and_what_cannot_be_judged_a_reason(many: Path) -> None:
    with duckdb.connect(str(many)) as base:
        base.execute("DELETE FROM alerts WHERE task_type = '*'")
    found = overview(many)
    assert {one.task_type: one.state for one in found.tasks} == {"refund": "alert", "triage": "alert"}
    assert [task for task, _ in found.undecided] == ["refund"], "an alert on its traffic says nothing of its answers"
    with duckdb.connect(str(many)) as base:
        base.execute("DELETE FROM alerts WHERE state != 'closed'")
    quiet = overview(many)
    assert {one.task_type: one.state for one in quiet.tasks} == {"refund": "not_enough_evidence", "triage": "worse"}
    text = shown(lambda console: show_overview(quiet, console))
    assert text.startswith("No alert is open.")
    assert "refund: none of 9 calls in the last 48h has a verdict" in text
    assert "-14.3, worse" in text
    (refund, triage) = json.loads(quiet.to_json())["task_types"]
    assert (refund["current_success_rate"], refund["state"]) == (None, "not_enough_evidence")
    assert triage["degraded_models"][0]["model"] == "atlas"
    assert json.loads(quiet.to_json())["undecided"][0]["task_type"] == "refund"


@pytest.mark.parametrize("width", [60, 80, 100, 160])
def test_the_overview_fits_the_terminal(many: Path, width: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", str(width))
    done = CliRunner().invoke(app, ["insights", "--snapshot", str(many)])
    assert done.exit_code == 0, done.output
    assert max(map(len, done.output.splitlines())) <= width
    assert "\x1b" not in done.output
    assert "triage" in done.output


def test_alerts_are_listed_open_ones_first(many: Path) -> None:
    numbers = [int(one["alert_id"], 16) for one in read_alerts(many, only_open=False).alerts]
    assert numbers == [14, 12, 13, 11, 2]
    listed = json.loads(CliRunner().invoke(app, ["alerts", "--open", "--json", "--snapshot", str(many)]).output)
    assert [int(one["alert_id"], 16) for one in listed["alerts"]] == [14, 12, 13, 11]
    assert listed["alerts"][1]["slices"] == SLICES
    assert listed["alerts"][1]["split"] == SPLIT
    assert listed["alerts"][1]["opened_at"] == "2026-09-19T18:00:00Z"
    text = CliRunner().invoke(app, ["alerts", "--snapshot", str(many)]).output
    assert "1 alert closed" in text


def test_the_open_alerts_of_a_task_of_any_kind_are_its_first_lines(many: Path) -> None:
    answer = json.loads(CliRunner().invoke(app, ["insights", "refund", "--json", "--snapshot", str(many)]).output)
    assert answer["state"] == "alert"
    assert [int(one["alert_id"], 16) for one in answer["alerts"]] == [14, 13]
    text = CliRunner().invoke(app, ["insights", "refund", "--snapshot", str(many)]).output
    assert text.startswith("2 alerts on refund are open, the costliest first:\n●")
    assert "No model is certainly worse" not in text


def test_where_a_run_is(many: Path) -> None:
    with duckdb.connect(str(many)) as base:
        base.execute("CREATE TABLE dead_letters (reason VARCHAR, received_at TIMESTAMP)")
        insert(base, "dead_letters", reason="orphan", received_at=END)
        base.execute("UPDATE pipeline SET watermark = ?, positions = ?", [END, '{"calls.jsonl": 60}'])
    plain = json.loads(CliRunner().invoke(app, ["status", "--json", "--snapshot", str(many)]).output)
    assert (plain["watermark"], plain["positions"]) == ("2026-09-21T00:00:00Z", {"calls.jsonl": 60})
    assert plain["counts"]["records"] == 120
    assert plain["dead_letters"] == [{"reason": "orphan", "count": 1, "last_at": "2026-09-21T00:00:00Z"}]
    assert plain["complete"][0]["calls"] == 1224
    text = CliRunner().invoke(app, ["status", "--snapshot", str(many)]).output
    for part in ("Read up to 2026-09-21 00:00 UTC", "calls.jsonl: 60", "120 records = 60 calls", "orphan: 1", "98.0 %"):
        assert part in text


@pytest.mark.parametrize("option", [["--source", "judge"], ["--evidence"]])
def test_what_is_of_one_task_type_needs_one(many: Path, option: list[str]) -> None:
    done = CliRunner().invoke(app, ["insights", *option, "--snapshot", str(many)])
    assert f"{option[0]}: must come with a task type" in str(done.exception)
