"""The comparison of two spans, from snapshots made by hand."""

from __future__ import annotations

import json
import re
from datetime import UTC, timedelta
from io import StringIO
from itertools import product
from pathlib import Path
from typing import Any

import duckdb
import pytest
from rich.console import Console

from aftercall.records import Alert
from flows.reports.insights import insights
from flows.reports.insights_view import render
from flows.reports.snapshot_reader import InsightError
from simulated.snapshot import END, alert, shown


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
        (("*", "atlas", None), "● critical · all tasks · atlas: 90.0 %"),
        (("triage", None, "v2"), "● critical · triage · all models/v2: 90.0 %"),
        (("triage", None, None), "● critical · triage: 90.0 %"),
        (("*", None, None), "● critical · all tasks: 90.0 %"),
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
        base.execute(
            "UPDATE current_rates SET corrected_rate = 0.89, corrected_low = 0.85, corrected_high = 0.92 "
            "WHERE model = 'atlas'"
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
    names = keys(insights(out / "outcomes.duckdb", "triage").to_dict()) - ROUTE - set(Alert.model_fields)
    assert len(names) > 35
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
"""Of recommendations, which section 3 describes, as it does alerts."""


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
    assert text.startswith("3 alerts on triage are open")
    assert "atlas: 90.0 % -> 70.0 %, -20.0 points (-25.0 to -15.0), since about 2026-09-19 08:00" in text
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


@pytest.mark.parametrize("width", [60, 80, 100, 160])
@pytest.mark.parametrize("evidence", [False, True])
def test_tables_fit_the_terminal_whatever_the_names(out: Path, width: int, evidence: bool) -> None:  # noqa: FBT001
    name = "anthropic/claude-large-2026-04-01-with-a-very-long-name"
    with duckdb.connect(str(out / "outcomes.duckdb")) as base:
        for table in ("rates", "current_rates", "recommendations"):
            base.execute(f"UPDATE {table} SET model = ?, config = ? WHERE model = 'birch'", [name, f"prompt-{name}"])
    console = Console(file=StringIO(), width=width)
    render(insights(out / "outcomes.duckdb", "triage"), console, evidence=evidence)
    text: str = console.file.getvalue()  # type: ignore[attr-defined]
    assert max(map(len, text.splitlines())) <= width
    assert "before" in text
    assert re.search(r"^anth.*name +prom.*name +80\.0", text, re.MULTILINE)
    assert ("95 %" in text) == evidence
