"""The comparison and demo reports, from snapshots made by hand."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime, timedelta
from io import StringIO
from itertools import product
from pathlib import Path
from typing import Any

import duckdb
import pytest
from rich.console import Console

from flows.reports.demo_report import report
from flows.reports.insights import InsightError, insights
from flows.reports.insights_view import render

END = datetime(2026, 9, 21)  # noqa: DTZ001 - the snapshot's TIMESTAMPs are naive, UTC by definition
COUNTS = "calls BIGINT, resolved BIGINT, successes BIGINT, failures BIGINT, expired BIGINT, pending BIGINT"
MEASURES = (
    f"{COUNTS}, rate DOUBLE, rate_low DOUBLE, rate_high DOUBLE, corrected_rate DOUBLE, corrected_low DOUBLE, "
    "corrected_high DOUBLE, maturity DOUBLE, latency_p50_ms DOUBLE, latency_p95_ms DOUBLE, cost_usd DOUBLE"
)
GROUP = "task_type VARCHAR, model VARCHAR, config VARCHAR"
TABLES = f"""
CREATE TABLE rates ({GROUP}, grain VARCHAR, window_start TIMESTAMP, {MEASURES});
CREATE TABLE current_rates ({GROUP}, span VARCHAR, {MEASURES}, as_of TIMESTAMP);
CREATE TABLE alerts (event_id VARCHAR, seq BIGINT, alert_id VARCHAR, state VARCHAR, kind VARCHAR, severity VARCHAR,
  opened_at TIMESTAMP, updated_at TIMESTAMP, closed_at TIMESTAMP, {GROUP}, metric VARCHAR, direction VARCHAR,
  baseline DOUBLE, current DOUBLE, effect_low DOUBLE, effect_high DOUBLE, changed_at TIMESTAMP, promise VARCHAR,
  reason VARCHAR, evidence VARCHAR);
CREATE TABLE recommendations (event_id VARCHAR, seq BIGINT, recommendation_id VARCHAR, task_type VARCHAR,
  issued_at TIMESTAMP, valid_until TIMESTAMP, segment VARCHAR, model VARCHAR, config VARCHAR, weight DOUBLE,
  p_best DOUBLE, rate DOUBLE, rate_low DOUBLE, rate_high DOUBLE, n BIGINT, status VARCHAR, degraded VARCHAR,
  reason VARCHAR);
CREATE TABLE pipeline (version BIGINT, written_at TIMESTAMP, watermark TIMESTAMP, records BIGINT, calls BIGINT,
  outcomes BIGINT, duplicates BIGINT, waiting BIGINT, orphans BIGINT, late BIGINT, conflicts BIGINT,
  dead_letters BIGINT, pending BIGINT, successes BIGINT, failures BIGINT, expired BIGINT, positions VARCHAR);
"""


def insert(base: duckdb.DuckDBPyConnection, table: str, **row: Any) -> None:
    names, marks = ", ".join(row), ", ".join("?" * len(row))
    base.execute(f"INSERT INTO {table} ({names}) VALUES ({marks})", list(row.values()))


def rates(base: duckdb.DuckDBPyConnection, model: str, hours_ago: int, successes: int, failures: int) -> None:
    insert(
        base,
        "rates",
        task_type="triage",
        model=model,
        config="default",
        grain="1h",
        window_start=END - timedelta(hours=hours_ago),
        calls=successes + failures + 5,
        resolved=successes + failures,
        successes=successes,
        failures=failures,
        expired=2,
        pending=3,
    )


def alert(base: duckdb.DuckDBPyConnection, number: int, **changes: Any) -> None:
    row: dict[str, Any] = {
        "alert_id": f"{number:032x}",
        "state": "opened",
        "kind": "drift",
        "severity": "critical",
        "opened_at": END - timedelta(hours=30),
        "task_type": "triage",
        "model": "atlas",
        "config": "default",
        "metric": "success_rate",
        "direction": "down",
        "baseline": 0.9,
        "current": 0.7,
        "effect_low": -0.25,
        "effect_high": -0.15,
        "changed_at": END - timedelta(hours=40),
        "reason": "Success rate of atlas fell.",
        "evidence": "{}",
    }
    insert(base, "alerts", **(row | changes))


@pytest.fixture
def out(tmp_path: Path) -> Path:
    """A folder with a snapshot in which atlas fell from 90 to 70 % and birch stayed."""
    with duckdb.connect(str(tmp_path / "outcomes.duckdb")) as base:
        base.execute(TABLES)
        rates(base, "atlas", 300, 0, 999)  # before the baseline
        rates(base, "atlas", 200, 900, 100)
        rates(base, "atlas", 49, 450, 50)
        rates(base, "atlas", 48, 350, 150)  # the first hour of the lookback
        rates(base, "atlas", 1, 350, 150)
        rates(base, "birch", 100, 800, 200)
        rates(base, "birch", 10, 160, 40)
        insert(
            base,
            "rates",
            task_type="triage",
            model="atlas",
            config="default",
            grain="1d",
            window_start=END,
            successes=9,
        )
        insert(base, "rates", task_type="refund", model="atlas", config="default", grain="1h", window_start=END)
        insert(
            base,
            "current_rates",
            task_type="triage",
            model="birch",
            config="default",
            span="48h",
            corrected_rate=0.81,
            maturity=0.95,
            as_of=END,
        )
        alert(base, 1)
        over = END - timedelta(hours=20)
        alert(base, 2, config=None, state="closed", closed_at=over, evidence=f'{{"part_of": "{1:032x}"}}')
        alert(base, 4, kind="shift", metric="latency_ms", direction="down", model="birch")
        alert(base, 5, direction="up", model="birch")
        for seq, hours, weight in ((1, 35, 0.9), (2, 30, 0.02)):
            for model, share in (("atlas", weight), ("birch", 1 - weight)):
                insert(
                    base,
                    "recommendations",
                    seq=seq,
                    recommendation_id=f"{seq:032x}",
                    task_type="triage",
                    issued_at=END - timedelta(hours=hours),
                    valid_until=END - timedelta(hours=hours - 6),
                    model=model,
                    config="default",
                    weight=share,
                    p_best=share,
                    rate=0.8,
                    rate_low=0.7,
                    rate_high=0.9,
                    n=500,
                    status="ok",
                    degraded="[]",
                    reason=f"reason {seq}",
                )
        insert(
            base,
            "pipeline",
            version=1,
            records=120,
            calls=60,
            outcomes=50,
            duplicates=5,
            waiting=2,
            dead_letters=3,
            pending=10,
            successes=30,
            failures=15,
            expired=5,
        )
    return tmp_path


def test_the_spans_are_compared_in_all_and_per_arm(out: Path) -> None:
    found = insights(out / "outcomes.duckdb", "triage")
    assert found.as_of == END.replace(tzinfo=UTC)
    assert found.overall.baseline.rate == pytest.approx((900 + 450 + 800) / 2500)
    assert found.overall.current.rate == pytest.approx((350 + 350 + 160) / 1200)
    assert found.overall.delta == pytest.approx(860 / 1200 - 2150 / 2500)
    atlas, birch = found.arms
    assert (atlas.baseline.resolved, atlas.current.resolved, atlas.current.calls) == (1500, 1000, 1010)
    assert (atlas.current.pending, atlas.current.expired) == (6, 4)
    assert atlas.delta == pytest.approx(-0.2)
    assert atlas.delta_low is not None
    assert atlas.delta_high is not None
    assert atlas.delta_low < -0.2 < atlas.delta_high < 0
    assert atlas.separated
    assert not birch.separated
    assert birch.corrected is not None
    assert birch.corrected.rate == 0.81


def test_intervals_for_deciding_are_wider_than_those_for_one_look(out: Path) -> None:
    side = insights(out / "outcomes.duckdb", "triage").arms[0].current
    assert side.low is not None
    assert side.wilson_low is not None
    assert side.low < side.wilson_low < 0.7


def test_an_open_alert_is_shown_once_with_its_moment(out: Path) -> None:
    (one,) = insights(out / "outcomes.duckdb", "triage").degraded
    assert (one.model, one.config, one.alert_id) == ("atlas", "default", f"{1:032x}")
    assert one.since == (END - timedelta(hours=40)).replace(tzinfo=UTC)


def test_an_alert_is_shown_where_calls_of_the_task_are_in_its_scope(out: Path) -> None:
    scopes = list(product(["triage", "refund", "*"], ["atlas", "birch", "elsewhere", None], ["default", "v2", None]))
    with duckdb.connect(str(out / "outcomes.duckdb")) as base:
        base.execute("DELETE FROM alerts")
        for number, (task, model, config) in enumerate(scopes):
            alert(base, number, task_type=task, model=model, config=config)
    found = insights(out / "outcomes.duckdb", "triage").degraded
    called = {("*", model, config) for model in ("atlas", "birch", None) for config in ("default", None)}
    expected = {scope for scope in scopes if scope[0] == "triage"} | called
    assert len(found) == len(expected)
    assert {(one.task_type, one.model, one.config) for one in found} == expected


@pytest.mark.parametrize(("task", "config"), [("refund", None), ("*", "v2"), ("triage", "v2")])
def test_who_fell_is_named_where_the_open_alerts_are_about_others(out: Path, task: str, config: str | None) -> None:
    with duckdb.connect(str(out / "outcomes.duckdb")) as base:
        base.execute("DELETE FROM alerts")
        alert(base, 6, task_type=task, model=None, config=config)
    found = insights(out / "outcomes.duckdb", "triage").degraded
    assert [one.model for one in found if one.alert_id is None] == ["atlas"]


@pytest.mark.parametrize(
    ("scope", "line"),
    [
        (("*", "atlas", None), "● atlas over all task types: 90.0 %"),
        (("triage", None, "v2"), "● all models/v2: 90.0 %"),
        (("triage", None, None), "● all models: 90.0 %"),
        (("*", None, None), "● all models over all task types: 90.0 %"),
    ],
)
def test_the_scope_of_an_alert_is_shown_in_words(
    out: Path, scope: tuple[str, str | None, str | None], line: str
) -> None:
    with duckdb.connect(str(out / "outcomes.duckdb")) as base:
        base.execute("DELETE FROM alerts")
        alert(base, 6, **dict(zip(("task_type", "model", "config"), scope, strict=True)))
    assert line in shown(lambda console: render(insights(out / "outcomes.duckdb", "triage"), console))


def test_without_an_alert_intervals_that_lie_apart_name_the_model(out: Path) -> None:
    with duckdb.connect(str(out / "outcomes.duckdb")) as base:
        base.execute("DELETE FROM alerts")
    (one,) = insights(out / "outcomes.duckdb", "triage").degraded
    assert (one.model, one.alert_id) == ("atlas", None)
    assert one.since == (END - timedelta(hours=48)).replace(tzinfo=UTC), "from where the hours are worse"
    assert "no alert is open" in one.reason


def test_a_young_window_is_not_called_degraded_where_the_corrected_rate_is_not(out: Path) -> None:
    with duckdb.connect(str(out / "outcomes.duckdb")) as base:
        base.execute("DELETE FROM alerts")
        insert(
            base,
            "current_rates",
            task_type="triage",
            model="atlas",
            config="default",
            span="48h",
            corrected_rate=0.89,
            corrected_low=0.85,
            corrected_high=0.92,
            as_of=END,
        )
    assert insights(out / "outcomes.duckdb", "triage").degraded == []


def test_the_newest_recommendation_is_taken_and_as_of_goes_back(out: Path) -> None:
    now = insights(out / "outcomes.duckdb", "triage")
    assert now.route is not None
    assert [arm["weight"] for arm in now.route.arms] == [0.02, 0.98]
    then = insights(out / "outcomes.duckdb", "triage", as_of=(END - timedelta(hours=34)).replace(tzinfo=UTC))
    assert then.route is not None
    assert then.route.reason == "reason 1"
    assert [one.alert_id for one in then.degraded] == [None], "the alert had not been opened, the rates had fallen"


def test_the_json_has_the_names_of_the_reference(out: Path) -> None:
    answer = json.loads(insights(out / "outcomes.duckdb", "triage").to_json())
    assert answer["task_type"] == "triage"
    assert answer["performance_delta"] == pytest.approx(
        answer["current_success_rate"] - answer["baseline_success_rate"]
    )
    assert answer["degraded_models"][0]["since"] == "2026-09-19T08:00:00Z"
    assert answer["routing_recommendation"]["arms"][0]["model"] == "atlas"
    assert answer["models"][0]["current"]["resolved"] == 1000


def test_the_reference_names_every_field_of_the_json(out: Path) -> None:
    text = (Path(__file__).parents[3] / "docs" / "reference.md").read_text(encoding="utf-8")
    section = text.partition("\n## 5. ")[2].partition("\n## 6. ")[0]
    names = keys(insights(out / "outcomes.duckdb", "triage").to_dict()) - ROUTE
    assert len(names) > 40
    assert names <= set(re.findall(r"\w+", section))


ROUTE = {
    "recommendation_id",
    "issued_at",
    "valid_until",
    "arms",
    "weight",
    "p_best",
    "rate_low",
    "rate_high",
    "n",
    "status",
}
"""Of recommendations, which section 3 describes."""


def keys(value: Any) -> set[str]:
    if isinstance(value, dict):
        return set(value) | keys(list(value.values()))
    return set().union(*map(keys, value)) if isinstance(value, list) else set()


def test_a_task_without_resolved_calls_has_nothing_to_compare(out: Path) -> None:
    found = insights(out / "outcomes.duckdb", "refund")
    assert found.overall.delta is None
    assert found.route is None
    assert "Nothing to compare" in shown(lambda console: render(found, console))


def test_a_person_can_read_it(out: Path) -> None:
    text = shown(lambda console: render(insights(out / "outcomes.duckdb", "triage"), console))
    assert "atlas: 90.0 % -> 70.0 %, -20.0 points (-25.0 points to -15.0 points) since 2026-09-19 08:00 UTC" in text
    assert "Success rate 86.0 % -> 71.7 %" in text
    assert "reason 2" in text


@pytest.mark.parametrize(
    ("task", "how", "message"),
    [
        ("nope", {}, r"must be one in .*\(refund, triage\); got 'nope'"),
        ("triage", {"lookback": timedelta(minutes=90)}, r"lookback must be whole hours, at least 1h; got 90m"),
        ("triage", {"baseline": timedelta(0)}, r"baseline must be whole hours, at least 1h; got 0s"),
    ],
)
def test_wrong_questions_are_answered_in_one_sentence(out: Path, task: str, how: dict[str, Any], message: str) -> None:
    with pytest.raises(InsightError, match=message):
        insights(out / "outcomes.duckdb", task, **how)


def test_a_missing_or_foreign_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(InsightError, match=r"snapshot: .*none\.duckdb must be a file; there is none"):
        insights(tmp_path / "none.duckdb", "triage")
    (tmp_path / "text").write_text("not a database" * 1000)
    with pytest.raises(InsightError, match=r"snapshot: .*: must be a snapshot that aftercall wrote"):
        insights(tmp_path / "text", "triage")
    duckdb.connect(str(tmp_path / "empty.duckdb")).close()
    with pytest.raises(InsightError, match=r"snapshot: .*: must be a snapshot that aftercall wrote"):
        insights(tmp_path / "empty.duckdb", "triage")


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
    assert "atlas: 90.0 % of the calls before the alert, 2.0 % now." in text
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


def shown(print_to: Any) -> str:
    console = Console(file=StringIO(), width=200)
    print_to(console)
    return console.file.getvalue()  # type: ignore[attr-defined, no-any-return]
