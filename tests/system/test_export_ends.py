"""The end of a file is no outage: a replay says where calls and outcomes end, and watches neither beyond it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from flows.demo.simulate import simulate
from system.commands import aftercall, table

pytestmark = pytest.mark.slow


def test_an_export_whose_outcomes_go_on_raises_no_alarm_on_calls_and_says_where_it_ends(tmp_path: Path) -> None:
    """Fifteen days of calls, so that each hour of the week is known, and outcomes of one day more."""
    made = simulate(tmp_path, days=15, calls_per_day=500, seed=3)
    files = ("--calls", made.calls.name, "--outcomes", made.outcomes.name, "--out", "out")
    text = aftercall(tmp_path, "replay", *files)
    assert text.returncode == 0, text.stderr
    assert "\ncalls end 2026-09-21 23:" in text.stdout
    assert " UTC, outcomes go on until 2026-09-22 2" in text.stdout
    assert table(tmp_path / "out", "SELECT count(*) FROM alerts WHERE kind = 'volume'") == [(0,)]
    again = json.loads(aftercall(tmp_path, "replay", *files, "--json").stdout)
    assert again["calls_end"] < "2026-09-22" < again["outcomes_end"]
