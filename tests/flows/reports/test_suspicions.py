"""Suspicions in `aftercall insights`, with and without a task type, on snapshots made by hand."""

from __future__ import annotations

import json
from datetime import timedelta
from pathlib import Path

import duckdb
import pytest

from connectors.snapshot.sql import create
from connectors.snapshot.tables import PUBLISHED
from flows.reports.insights import insights
from flows.reports.insights_view import render
from flows.reports.overview import overview
from flows.reports.overview_view import show_overview
from simulated.snapshot import END, insert, shown

LINE = "atlas/v2: 88.0 % -> 79.3 % since 2026-09-20 00:00 UTC, 213 outcomes; of such about 7 in 10 are real"


@pytest.fixture
def suspected(out: Path) -> Path:
    """A suspicion on one config, and twelve on other task types."""
    snapshot = out / "outcomes.duckdb"
    with duckdb.connect(str(snapshot)) as base:
        base.execute(create("suspicions", PUBLISHED["suspicions"]))
        one = {"as_of": END, "metric": "success_rate", "direction": "down", "odds": 0.7, "trials": 213}
        one |= {"baseline": 0.88, "current": 0.793, "changed_at": END - timedelta(hours=24)}
        insert(base, "suspicions", **one, task_type="triage", model="atlas", config="v2", strength=0.6)
        for number in range(12):
            insert(base, "suspicions", **one, task_type=f"task-{number:02}", strength=0.1)
    return snapshot


def test_insights_of_a_task_type_list_its_suspicions_with_their_odds(suspected: Path) -> None:
    found = insights(suspected, "triage")
    text = shown(lambda console: render(found, console))
    assert f"Suspicions, not sure enough for an alert:\n  {LINE}" in text
    assert "task-00" not in text
    (plain,) = json.loads(found.to_json())["suspicions"]
    assert (plain["config"], plain["odds"], plain["strength"]) == ("v2", 0.7, 0.6)
    assert plain["as_of"].endswith("Z")


def test_the_overview_lists_the_strongest_and_counts_the_rest(suspected: Path) -> None:
    found = overview(suspected)
    assert len(json.loads(found.to_json())["suspicions"]) == 13
    text = shown(lambda console: show_overview(found, console))
    assert f"  triage · {LINE}" in text
    assert "task-08" in text
    assert "task-09" not in text
    assert "and 3 more" in text


def test_a_past_lookback_and_an_earlier_snapshot_have_none(suspected: Path) -> None:
    assert insights(suspected, "triage", as_of=END).suspicions == []
    with duckdb.connect(str(suspected)) as base:
        base.execute("DROP TABLE suspicions")
    assert overview(suspected).suspicions == []
    assert "Suspicions" not in shown(lambda console: show_overview(overview(suspected), console))
