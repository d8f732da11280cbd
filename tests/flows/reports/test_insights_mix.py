"""What `insights` shows of a mix: its parts sum to the change of the rates beside them."""

from __future__ import annotations

import json
from datetime import timedelta
from pathlib import Path
from typing import Any

import duckdb
import pytest

from flows.reports.insights import insights
from flows.reports.insights_view import render
from simulated.snapshot import END, TABLES, current, insert, shown

BEFORE, SINCE = 100, 5
"""Hours before the end, of a window in either span."""
COUNTS: dict[tuple[str, str | None], tuple[int, int, int, int]] = {
    # (model, segment): failures and outcomes before, and since; None: calls without a segment
    ("atlas", "short"): (50, 1000, 10, 200),
    ("atlas", "long"): (60, 200, 240, 800),
    ("atlas", None): (10, 100, 5, 50),
    ("birch", None): (20, 200, 20, 200),
}


def written(folder: Path, *, segments: bool = True) -> Path:
    """A snapshot in which short and long inputs do as well as before, and more are long."""
    path = folder / "outcomes.duckdb"
    with duckdb.connect(str(path)) as base:
        base.execute(TABLES)
        for model in ("atlas", "birch"):
            for hours, at in ((BEFORE, 0), (SINCE, 2)):
                mine = [
                    (segment, counts[at], counts[at + 1]) for (name, segment), counts in COUNTS.items() if name == model
                ]
                group: dict[str, Any] = {"task_type": "triage", "model": model, "config": "default", "grain": "1h"}
                group |= {"window_start": END - timedelta(hours=hours)}
                whole = sum(row[1] for row in mine), sum(row[2] for row in mine)
                for segment, failures, resolved in [*mine, ("", *whole)]:
                    rest = {"expired": 0, "pending": 0, "calls": resolved, "resolved": resolved}
                    row = {**group, **rest, "failures": failures, "successes": resolved - failures}
                    if segment == "":
                        insert(base, "rates", **row)
                    elif segment is not None:
                        insert(base, "segment_rates", **row, segment=segment)
        current(base)
        if not segments:
            base.execute("DROP TABLE segment_rates")
    return path


def test_more_long_inputs_are_the_mix_and_the_parts_sum_to_the_change(tmp_path: Path) -> None:
    found = insights(written(tmp_path), "triage")
    by = {part.dimension: part for part in found.split}
    assert list(by) == ["model", "segment", "within"]
    assert sum(part.points for part in found.split) == pytest.approx(found.overall.delta)
    assert by["segment"].value == "long"
    assert by["segment"].high < -0.05
    assert by["within"].low < 0 < by["within"].high
    assert json.loads(found.to_json())["split"][1]["dimension"] == "segment"
    text = " ".join(shown(lambda console: render(found, console)).split())
    assert "Changed mix of traffic: -" in text
    assert f"from more of segment long ({100 * by['segment'].share_before:.1f} % -> " in text  # type: ignore[operator]


def test_a_snapshot_of_before_segments_is_split_by_models_alone(tmp_path: Path) -> None:
    found = insights(written(tmp_path, segments=False), "triage")
    assert [part.dimension for part in found.split] == ["model", "within"]
    assert sum(part.points for part in found.split) == pytest.approx(found.overall.delta)
