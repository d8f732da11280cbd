from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchmarks import report
from benchmarks.detection import __main__ as command
from benchmarks.detection import delays, hours, plots, promise, rivals, starts
from benchmarks.detection.peers import PEERS
from benchmarks.detection.populations import Population


def delay_row(method: str, drop: float, mean: float | None, **other: Any) -> dict[str, Any]:
    row = {"p0": 0.9, "arl0": 10_000, "history": 10_000, "drop": drop, "method": method, "paths": 1000, "mean": mean}
    return row | {"over_oracle": None if mean is None else mean / 100, "early": 0.05, "undetected": 0.0} | other


def promise_row(stream: str, phase: str, threshold: int, alarms: int, exposure: float) -> dict[str, Any]:
    tally = promise.Tally(phase, threshold, alarms, 0, exposure)
    return {"stream": stream, "minutes": 60, "config": "shipped"} | tally.plain()


@pytest.fixture
def tables() -> dict[str, Any]:
    methods = [(delays.ORACLE, 1.0), (delays.FORMULA, 1.1), (delays.SHIPPED, 2.0)]
    cells = [delay_row(m, drop, 100 * over) for m, over in methods for drop in (0.05, 0.1, 0.2)]
    row = {"method": "river DDM", "groups": 9, "alarms": 2, "group_weeks": 10.0, "per_1000_group_weeks": 200.0}
    default = {"method": "DDM", "p0": 0.9, "paths": 9, "within_1000": 0.5, "within_all": 0.6, "delay_drop10": None}
    hour = {"per_day": 100, "groups": 9, "ours_h": None, "ours_early": 0.0, "rule_h": 24.0, "rule_early": 0.3}
    late = {"midnight_h": 0.6, "best_late_h": 1.0, "worst_late_h": 1.5, "over_24_h": 0}
    start = {"days": 14, "runs": 9, "best_h": 0.5, "worst_h": 0.6} | late
    return {
        "delays": [*cells, delay_row("DDM", 0.1, 300.0, history=1000), delay_row("EDDM", 0.1, None, history=1000)],
        "default_promise": [delay_row(m, 0.05, 100 * over, arl0=14_000_000) for m, over in methods],
        "promise": [
            promise_row(stream, phase, a, alarms, 10.0 * a)
            for stream, alarms in (("independent", 1), ("days", 4))
            for phase in ("first week", "later weeks")
            for a in promise.THRESHOLDS
        ],
        "parts": [promise_row("days", "later weeks", 1000, 4, 8000.0)],
        "rivals": [row],
        "defaults": [default | {"early": 1.0, "undetected": None}],
        "hours": [hour],
        "starts": [start],
        "coverage": [["setting", "bias"], ["6 h", "+.001"]],
        "coverage_figures": {"corrected_coverage_6h": 0.95},
        "cost": {"shipped": 180.0, "formula": 150.0},
    }


def test_the_section_is_written_between_its_marks_and_nothing_else_changes(tmp_path: Path) -> None:
    document = tmp_path / "results.md"
    document.write_text("before\n\n<!-- other: begin -->\nother\n<!-- other: end -->\n")
    report.renew_section("one", "first", document)
    report.renew_section("one", "## Second\n", document)
    other = "<!-- other: begin -->\nother\n<!-- other: end -->"
    assert document.read_text() == f"before\n\n{other}\n\n<!-- one: begin -->\n## Second\n<!-- one: end -->\n"


def test_the_record_can_be_rendered_again(
    tables: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What JSON keeps is enough for the section and for plots that refer to all of it."""
    kept = {"promise": {"date": "2026-11-20", "commit": "4818883", "seconds": 9.0}}
    sizes = {"size": "ci", "tables": kept}
    result = {"sizes": sizes, "date": "2026-11-20", "figures": command.figures(tables), "details": tables}
    result = json.loads(json.dumps(command.rounded(result), allow_nan=False))
    document = tmp_path / "results.md"
    document.write_text("head\n")
    monkeypatch.setattr(report, "renew_section", lambda _name, text: document)
    drawn: list[Any] = []

    def draw(kept: Any) -> list[Path]:
        drawn.append(plots.specifications(kept))
        return []

    monkeypatch.setattr(plots, "drawn", draw)
    text = command.rendered(result)
    assert "| CT-SR shipped | 200 (2.00) | 200 (2.00) | 200 (2.00) | 0.050 | 1,000 |" in text
    assert "| DDM | 300 (3.00) | 0.050 | 1,000 |" in text
    assert "| EDDM | all early |" in text
    assert "once in 14,000,000 events" in text
    assert "| days | hour | later weeks | 0.40 (≤ 0.92) 4 / 10.0 |" in text
    assert "| 100 | most not noticed | 0.000 | 24 | 0.300 |" in text
    assert not any("nan" in line for line in text.splitlines())
    assert max(len(line) for line in text.splitlines() if not line.startswith("|")) <= 120
    (specifications,) = drawn
    values = specifications["delays"]["data"]["values"]
    assert {(v["method"], v["drop"], v["over"]) for v in values} >= {
        ("CT-SR formula", 5, 1.1),
        ("CT-SR shipped", 20, 2),
    }
    assert len(specifications["promise"]["data"]["values"]) == len(tables["promise"])
    assert specifications["promise"]["facet"]["row"]["sort"] == ["A = 20", "A = 100", "A = 1,000", "A = 10,000"]


def test_figures_are_of_the_settings_that_they_are_named_for(tables: dict[str, Any]) -> None:
    figures = command.figures(tables)
    assert figures["delay_over_oracle_drop5"] == pytest.approx(1.1)
    assert figures["delay_over_oracle_drop20_shipped"] == pytest.approx(2.0)
    assert figures["corrected_coverage_6h"] == 0.95
    assert figures["ns_per_group_batch"] == 180.0
    assert figures["false_alarms_over_promise_A100"] == pytest.approx(0.4)
    assert figures["false_alarms_over_promise_A100_upper95"] == pytest.approx(promise.poisson_upper(4) / 10)


def test_what_can_show_nothing_is_in_no_figure(tables: dict[str, Any]) -> None:
    tables["promise"].append(promise_row("rare", "first week", 10_000, 2, 10_000.0))
    assert command.figures(tables)["false_alarms_over_promise_A10000"] == pytest.approx(0.4)
    tables["promise"].append(promise_row("more", "first week", 10_000, 9, 40_000.0))
    found = command.figures(tables)
    assert found["false_alarms_over_promise_A10000"] == pytest.approx(9 / 4)
    assert found["false_alarms_over_promise_A10000_with_history"] == pytest.approx(0.4)


def test_a_peer_is_watched_after_its_week_of_history_and_until_its_last() -> None:
    """EDDM alarms on nearly every group, ADWIN on none; slow groups give few events, but as long a watch."""
    people = Population(np.array([0.3, 0.1, 0.2, 0.4]), np.array([40.0, 300.0, 30.0, 150.0]))
    by_name = {peer.name: peer for peer in PEERS}
    alarms = rivals.peer_alarms(by_name["EDDM"], people, 3)
    assert ((alarms == promise.NEVER) | ((alarms > 0) & (alarms <= 3.01))).all()
    assert (alarms[[1, 3]] > 0).all()
    assert set(rivals.peer_alarms(by_name["ADWIN"], people, 2)) == {promise.NEVER}


def test_a_drop_is_detected_sooner_where_there_is_more_traffic() -> None:
    busy, calm = hours._row(10_000, 12), hours._row(1000, 12)
    assert 0 < busy["ours_h"] < calm["ours_h"] < 100
    assert busy["rule_h"] == pytest.approx(24, abs=3)


def test_a_drop_is_noticed_about_as_soon_whatever_the_hour_it_begins() -> None:
    """Of a quarter of the groups that hour is the first of their days, and R starts with it."""
    found = starts.noticed(7, 24)
    assert found.shape == (24, 24)
    middle = np.median(found, axis=0)
    assert 0 < middle.min() < middle.max() < 1.7 * middle.min()
    assert 0 < found.min() < found.max() < 6


def test_a_setting_knows_its_bound_and_cap() -> None:
    step = delays.Setting(0.9, 10_000, 1000, 0.2)
    expected = math.log(10_000) / (0.3 * math.log(3) + 0.7 * math.log(0.7 / 0.9))
    assert step.bound == pytest.approx(expected)
    assert (step.cap, delays.Setting(0.9, 100_000, 1000, 0.02).cap) == (15_000, 60_000)


def test_a_table_that_was_recorded_takes_the_place_of_its_own_and_of_no_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, tables: dict[str, Any]
) -> None:
    monkeypatch.setattr(report, "RESULTS", tmp_path)
    plain = command.rounded(tables)
    command.recorded("ci", plain, {"promise": 9.0, "cost": 1.0})
    before = json.loads((tmp_path / "detection.json").read_text())
    path = command.recorded("ci", {"cost": {"shipped": 90.0, "formula": 75.0}}, {"cost": 2.0})
    after = json.loads(path.read_text())
    assert after["figures"] == before["figures"] | {"ns_per_group_batch": 90.0, "ns_per_group_batch_formula": 75.0}
    assert after["sizes"]["tables"]["promise"] == before["sizes"]["tables"]["promise"]
    assert after["sizes"]["tables"]["cost"]["seconds"] == 2.0
    of_another_size = json.loads(command.recorded("full", {"hours": plain["hours"]}, {"hours": 1.0}).read_text())
    assert set(of_another_size["sizes"]["tables"]) == {"hours"}
    assert of_another_size["figures"] == {}
