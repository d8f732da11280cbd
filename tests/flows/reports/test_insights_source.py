"""The comparison of what one source says, from a snapshot made by hand."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import duckdb
import pytest

from aftercall.errors import ExitCode
from flows.reports.insights import insights
from flows.reports.insights_view import render
from flows.reports.snapshot_reader import InsightError
from simulated.snapshot import END, GROUP, insert, shown

MEASURES = (
    "resolved BIGINT, successes BIGINT, failures BIGINT, rate DOUBLE, rate_low DOUBLE, rate_high DOUBLE, "
    "corrected_rate DOUBLE, corrected_low DOUBLE, corrected_high DOUBLE, maturity DOUBLE"
)


@pytest.fixture
def judged(out: Path) -> Path:
    """Of atlas and birch, whose verdicts fell and stayed, the judge says the opposite; people speak of another task."""
    with duckdb.connect(str(out / "outcomes.duckdb")) as base:
        base.execute(
            f"CREATE TABLE source_rates ({GROUP}, source VARCHAR, grain VARCHAR, window_start TIMESTAMP, {MEASURES})"
        )
        base.execute(
            f"CREATE TABLE source_current_rates ({GROUP}, source VARCHAR, span VARCHAR, {MEASURES}, as_of TIMESTAMP)"
        )
        for model, hours_ago, good, bad in (
            ("atlas", 200, 80, 20),
            ("atlas", 48, 45, 5),
            ("birch", 100, 270, 30),
            ("birch", 10, 80, 120),
        ):
            names = {"task_type": "triage", "model": model, "config": "default", "source": "judge", "grain": "1h"}
            counts = {"resolved": good + bad, "successes": good, "failures": bad}
            insert(base, "source_rates", **names, **counts, window_start=END - timedelta(hours=hours_ago))
        people = {"task_type": "refund", "model": "atlas", "config": "default", "source": "human_review"}
        insert(base, "source_rates", **people, grain="1h", window_start=END, resolved=1, successes=1, failures=0)
        arm = {"task_type": "triage", "model": "birch", "config": "default", "span": "48h", "as_of": END}
        for source, rate, good, bad in (("judge", 0.35, 80, 120), ("another", 0.99, 99, 1)):
            insert(
                base,
                "source_current_rates",
                **arm,
                source=source,
                resolved=good + bad,
                successes=good,
                failures=bad,
                corrected_rate=rate,
                corrected_low=rate - 0.01,
                corrected_high=rate + 0.01,
                maturity=0.5,
            )
        arm["model"] = "atlas"
        insert(
            base,
            "source_current_rates",
            **arm,
            source="judge",
            resolved=50,
            successes=45,
            failures=5,
            corrected_rate=0.9,
            corrected_low=0.8,
            corrected_high=0.95,
            maturity=0.9,
        )
    return out / "outcomes.duckdb"


def test_the_rates_are_those_of_the_source(judged: Path) -> None:
    found = insights(judged, "triage", source="judge")
    atlas, birch = found.arms
    assert (atlas.baseline.successes, atlas.baseline.failures) == (80, 20)
    assert (atlas.current.successes, atlas.current.failures) == (45, 5)
    # Of 960 calls the judge says nothing.
    assert (atlas.current.calls, atlas.current.pending, atlas.current.expired) == (1010, 960, 0)
    assert (birch.baseline.rate, birch.current.rate) == (0.9, 0.4)
    assert birch.corrected is not None
    assert (birch.corrected.rate, birch.corrected.maturity) == (0.35, 0.5)
    assert [degraded.model for degraded in found.degraded] == ["birch"], "whatever the open alert on atlas says"
    assert found.degraded[0].alert_id is None
    assert found.route is None
    assert all(arm.power is None for arm in found.arms)
    assert found.to_dict()["source"] == "judge"


def test_without_a_source_nothing_changes(judged: Path) -> None:
    found = insights(judged, "triage")
    assert found.source is None
    assert [degraded.model for degraded in found.degraded] == ["atlas"]
    assert found.route is not None


def test_a_person_reads_whose_rates_these_are(judged: Path) -> None:
    text = shown(lambda console: render(insights(judged, "triage", source="judge"), console))
    assert text.startswith("triage · judge · last 48h against the 7d before")
    assert "All rates are of what judge says" in text
    assert "of the calls are judged by judge" in " ".join(text.split())
    assert "Where calls should go" not in text


@pytest.mark.parametrize(
    ("task", "source", "known"), [("triage", "jugde", "judge"), ("triage", "human_review", "judge")]
)
def test_an_unknown_source_is_answered_with_the_known_ones(judged: Path, task: str, source: str, known: str) -> None:
    with pytest.raises(InsightError, match=rf"--source: must be .* \({known}\); got '{source}'") as wrong:
        insights(judged, task, source=source)
    assert wrong.value.exit_code == ExitCode.USAGE


def test_a_snapshot_of_an_earlier_version_knows_no_source(out: Path) -> None:
    with pytest.raises(InsightError, match=r"\(none yet\); got 'judge'"):
        insights(out / "outcomes.duckdb", "triage", source="judge")
