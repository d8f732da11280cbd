"""`aftercall.get_insights`: what the command prints, and what to install where only the SDK is."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pydantic
import pytest
from typer.testing import CliRunner

import aftercall
from aftercall.errors import UserError
from flows.cli.main import app

SDK = Path(aftercall.__file__).parent.parent


def test_the_answer_is_that_of_the_command(tmp_path: Path) -> None:
    out = replayed(tmp_path)
    shown = CliRunner().invoke(app, ["insights", "refund", "--json", "--snapshot", str(out), "--lookback", "24h"])
    found = aftercall.get_insights("refund", lookback_hours=24, snapshot=out)
    assert found == json.loads(shown.output)
    assert found == aftercall.get_insights("refund", 24, 168, out / "outcomes.duckdb")
    assert found.baseline_success_rate == found["baseline_success_rate"] == 0.5
    assert (found.current_success_rate, found.performance_delta) == (1.0, 0.5)
    assert found.performance_delta_relative == 1.0
    assert (found.degraded_models, found.routing_recommendation) == ([], found["routing_recommendation"])


@pytest.mark.parametrize(
    ("how", "message"),
    [
        ({"task_type": "nope"}, "the task type must be one in"),
        ({"task_type": "refund", "lookback_hours": 0}, "lookback must be whole hours"),
        ({"task_type": "refund", "compare_to_baseline_hours": 10**9}, "must not reach back beyond the year 1"),
        ({"task_type": "refund", "snapshot": "nowhere"}, "nowhere must be a file; there is none"),
    ],
)
def test_wrong_questions_are_one_sentence(tmp_path: Path, how: dict[str, object], message: str) -> None:
    with pytest.raises(UserError, match=message):
        aftercall.get_insights(**({"snapshot": replayed(tmp_path)} | how))  # type: ignore[arg-type]


def test_where_only_the_sdk_is_installed_one_sentence_says_what_to_install(tmp_path: Path) -> None:
    libraries = Path(pydantic.__file__).parent.parent
    asked = "import aftercall, sys\ntry: aftercall.get_insights('t')\nexcept Exception as error: sys.exit(str(error))"
    ran = subprocess.run(
        [sys.executable, "-S", "-c", asked],
        env={**os.environ, "PYTHONPATH": f"{SDK}{os.pathsep}{libraries}"},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == 1
    assert "get_insights: must run where the pipeline is installed" in ran.stderr
    assert "make setup" in ran.stderr
    assert ran.stderr.count("\n") == 1


def replayed(folder: Path) -> Path:
    """A snapshot of four calls of a task type: one of two succeeded before the last day, and both within it."""
    from datetime import UTC, datetime

    import numpy as np

    from aftercall.times import HOUR_US
    from benchmarks.coverage import apply_calls
    from connectors.snapshot.store import SnapshotStore
    from models.rates import RateCells

    start = int(datetime(2026, 3, 2, tzinfo=UTC).timestamp()) * 1_000_000
    hours, good = np.array([3, 5, 60, 61]), np.array([True, False, True, True])
    cells = RateCells()
    at = start + hours * HOUR_US
    apply_calls(cells, [("refund", "atlas", "default")], np.zeros(4, int), at, good, np.full(4, HOUR_US // 2))
    now = start + 62 * HOUR_US
    cells.advance(now, now - 1)
    store = SnapshotStore(folder)
    store.publish({"watermark": now}, *cells.tables(now, live=True))
    store.close()
    return folder
