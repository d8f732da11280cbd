"""Contract rates beside the success rate, from a snapshot made by hand."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import duckdb
import pytest

from connectors.snapshot.tables import PUBLISHED
from flows.reports.insights import insights
from flows.reports.insights_rules_view import rate_line
from flows.reports.insights_view import render
from models.stats.intervals import confidence_sequence
from simulated.snapshot import END, insert, shown

FAST = ("refund", "fast")


def checks(
    base: duckdb.DuckDBPyConnection, rule: str, hours_ago: float, passed: int, failed: int, **more: object
) -> None:
    row = {"task_type": "triage", "model": "atlas", "config": "default", "contract": "refund", "contract_version": "1"}
    counts = {"checked": passed + failed, "passed": passed, "failed": failed, "not_applicable": 0, "errors": 0}
    at = END - timedelta(hours=hours_ago)
    insert(base, "check_rates", **{**row, "rule": rule, "grain": "1h", "window_start": at, **counts, **more})


@pytest.fixture
def judged(out: Path) -> Path:
    """`fast` was violated at 1 % and now is at 15 %, in two versions and models; `cheap` stayed."""
    with duckdb.connect(str(out / "outcomes.duckdb")) as base:
        columns = ", ".join(f"{name} {kind}" for name, kind in PUBLISHED["check_rates"].items())
        base.execute(f"CREATE TABLE check_rates ({columns})")
        checks(base, "fast", 300, 0, 999)  # before the baseline
        checks(base, "fast", 49, 990, 10)
        checks(base, "fast", 48, 400, 100, contract_version="2")  # the first hour of the lookback
        checks(base, "fast", 1, 450, 50, model="birch")
        checks(base, "fast", 1, 0, 999, task_type="refund")
        checks(base, "fast", 48, 0, 999, grain="1d")
        checks(base, "cheap", 100, 98, 2)
        checks(base, "cheap", 2, 49, 1, not_applicable=7, errors=3)
        checks(base, "asks", 2, 0, 0, not_applicable=50)
        checks(base, "old", 100, 10, 0)
    return out / "outcomes.duckdb"


def test_every_checked_call_of_the_two_spans_counts_once_whatever_the_version(judged: Path) -> None:
    found = {one.rule: one for one in insights(judged, "triage").rules}
    assert list(found) == ["fast", "cheap", "asks", "old"], "violated most first, then by name"
    fast, cheap = found["fast"], found["cheap"]
    assert (fast.contract, fast.rule) == FAST
    assert (fast.baseline.checked, fast.baseline.passed, fast.baseline.failed) == (1000, 990, 10)
    assert (fast.current.checked, fast.current.passed, fast.current.failed) == (1000, 850, 150)
    assert (fast.baseline.rate, fast.current.rate, fast.separated) == (0.99, 0.85, True)
    assert fast.delta == pytest.approx(-0.14)
    assert fast.delta_low is not None
    assert fast.delta_high is not None
    assert fast.delta_low < -0.14 < fast.delta_high < 0
    low, high = confidence_sequence(850, 150)
    assert (fast.current.low, fast.current.high) == pytest.approx((float(low), float(high)))
    assert (cheap.current.not_applicable, cheap.current.errors, cheap.separated) == (7, 3, False)
    assert found["asks"].current.rate is None
    assert (found["asks"].delta, found["old"].delta, found["old"].current.checked) == (None, None, 0)


def test_they_are_as_of_a_time_too_and_not_of_a_source(judged: Path) -> None:
    before = insights(judged, "triage", as_of=END - timedelta(hours=48)).rules
    assert {one.rule: one.current.checked for one in before} == {"fast": 1000, "cheap": 0, "old": 0}
    with duckdb.connect(str(judged)) as base:
        base.execute("CREATE TABLE source_rates AS SELECT *, 'judge' AS source FROM rates")
        base.execute("CREATE TABLE source_current_rates AS SELECT *, 'judge' AS source FROM current_rates")
    assert insights(judged, "triage", source="judge").rules == []


def test_json_has_them_and_a_snapshot_without_contracts_has_none(judged: Path) -> None:
    listed = insights(judged, "triage").to_dict()["contract_rules"]
    assert [one["rule"] for one in listed] == ["fast", "cheap", "asks", "old"]
    counts = {"checked": 1000, "passed": 990, "failed": 10, "not_applicable": 0, "errors": 0, "rate": 0.99}
    assert {name: listed[0]["baseline"][name] for name in counts} == counts
    with duckdb.connect(str(judged)) as base:
        base.execute("DELETE FROM check_rates")
    assert insights(judged, "triage").to_dict()["contract_rules"] == []
    with duckdb.connect(str(judged)) as base:
        base.execute("DROP TABLE check_rates")
    assert insights(judged, "triage").to_dict()["contract_rules"] == []


def test_they_are_printed_beside_the_success_rate(judged: Path) -> None:
    found = insights(judged, "triage")
    printed = shown(lambda console: render(found, console))
    assert rate_line(found.rules) in printed
    assert "Contract rate 98.9 % -> 85.6 % of checks pass, 1,050 now" in printed
    (line,) = [line for line in printed.splitlines() if line.startswith("refund.fast")]
    assert line.split() == ["refund.fast", "99.0", "85.0", "-14.0", "150", "1,000"]
    (line,) = [line for line in printed.splitlines() if line.startswith("refund.old")]
    assert line.split() == ["refund.old", "100.0", "-", "no", "checks", "now", "0", "0"]
    assert "1 of 4 rules have checked no call" in printed
    assert "3 results now are errors of the rules themselves" in printed
    assert "refund.asks" not in printed
    before, after = printed.index("Success rate "), printed.index("Contract rate ")
    assert before < after
