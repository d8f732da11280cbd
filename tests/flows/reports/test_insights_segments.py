"""What is recommended for segments of a task type is shown where it is another than for all calls."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

import duckdb

from flows.reports.insights import insights
from flows.reports.insights_view import render
from simulated.snapshot import END, insert, shown

TASK = "triage"


def recommended(out: Path, weights: dict[str | None, Any], **fields: Any) -> None:
    """A newer recommendation than the others."""
    with duckdb.connect(str(out / "outcomes.duckdb")) as base:
        for segment, of_arms in weights.items():
            for model, weight in of_arms.items():
                row = {
                    "seq": 9,
                    "recommendation_id": f"{9:032x}",
                    "task_type": TASK,
                    "issued_at": END - timedelta(hours=1),
                    "valid_until": END + timedelta(hours=5),
                    "segment": segment,
                    "model": model,
                    "config": None if model is None else "default",
                    "weight": weight,
                    "degraded": "[]",
                    "reason": "as it is",
                    "n": None if model is None else 500,
                    "status": None if model is None else "ok",
                }
                insert(base, "recommendations", **(row | fields))


def printed(out: Path) -> str:
    return shown(lambda console: render(insights(out / "outcomes.duckdb", TASK), console))


def test_segments_are_in_the_json_and_those_that_differ_in_the_text(out: Path) -> None:
    half, other = {"atlas": 0.5, "birch": 0.5}, {"atlas": 0.1, "birch": 0.9}
    recommended(out, {None: half, "long": other, "short": half})
    found = insights(out / "outcomes.duckdb", TASK).to_dict()["routing_recommendation"]
    assert [arm["weight"] for arm in found["arms"]] == [0.5, 0.5]
    assert [(one["segment"], [arm["weight"] for arm in one["arms"]]) for one in found["segments"]] == [
        ("long", [0.1, 0.9]),
        ("short", [0.5, 0.5]),
    ]
    text = printed(out)
    assert "Where the segment is long: birch 90.0 %, atlas 10.0 %" in text
    assert "Where the segment is short" not in text


def test_each_status_is_shown(out: Path) -> None:
    for status, words in (("silent", "silent"), ("retired", "retired"), ("over_limit", "over limit")):
        recommended(out, {None: {"atlas": 0.0, "birch": 1.0}}, status=status, seq=10)
        assert words in printed(out)
        with duckdb.connect(str(out / "outcomes.duckdb")) as base:
            base.execute("DELETE FROM recommendations WHERE seq = 10")


def test_where_no_arm_may_be_served_there_is_none_in_the_list(out: Path) -> None:
    recommended(out, {None: {None: None}}, reason="none of the 2 arms that are called is allowed, so none is drawn")
    found = insights(out / "outcomes.duckdb", TASK).to_dict()["routing_recommendation"]
    assert (found["arms"], found["segments"]) == ([], [])
    assert "none of the 2 arms that are called is allowed" in printed(out)
