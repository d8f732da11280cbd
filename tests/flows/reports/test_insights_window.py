"""One window per row, and what the state of a comparison rests on: snapshots made from calls."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aftercall.times import MINUTE_US
from benchmarks.coverage import apply_calls
from connectors.snapshot.store import SnapshotStore
from flows.reports.insights import Insight, insights
from flows.reports.insights_view import NONE_WORSE, render
from models.rates import RateCells
from simulated.snapshot import shown

START = int(datetime(2026, 3, 2, tzinfo=UTC).timestamp()) * 1_000_000
ARMS = [("triage", "atlas", "v1"), ("triage", "birch", "default")]
Made = tuple[int, int, bool, bool]
"""Arm, minute, success, whether it has a verdict: half an hour later."""


def seen(made: list[Made], minute: int, hours: int = 48) -> Insight:
    """What `insights` shows of these calls in a snapshot that is taken `minute` minutes after the first midnight."""
    now = START + minute * MINUTE_US
    rows = [call for call in made if call[1] < minute]
    arm, at, good, answered = (np.array(column) for column in zip(*rows, strict=True))
    at = START + at * MINUTE_US
    slow = np.where(answered & (at + 30 * MINUTE_US < now), 30 * MINUTE_US, -1)
    cells = RateCells()
    apply_calls(cells, ARMS, arm, at, good, slow)
    cells.advance(now, now - 1)
    with TemporaryDirectory() as folder:
        store = SnapshotStore(Path(folder))
        store.publish({"watermark": now}, *cells.tables(now, live=True))
        store.close()
        return insights(Path(folder) / "outcomes.duckdb", "triage", timedelta(hours=hours))


def made_of(answered: st.SearchStrategy[bool], last: int) -> st.SearchStrategy[list[Made]]:
    return st.lists(
        st.tuples(st.integers(0, 1), st.integers(0, last), st.booleans(), answered), min_size=1, max_size=50
    )


SPAN = st.sampled_from([1, 24, 48])


@settings(max_examples=25)
@given(made_of(st.just(True), 9 * 1440), st.integers(9 * 1440 + 40, 9 * 1440 + 110), SPAN)
def test_where_everything_is_resolved_the_corrected_rate_is_the_plain_one(
    made: list[Made], minute: int, hours: int
) -> None:
    found = seen(made, minute, hours)
    for arm in [*found.arms, found.overall]:
        assert not arm.current.pending
        final = arm.corrected
        if arm.current.resolved:
            assert final is not None
            assert final.rate == pytest.approx(arm.current.rate)
            assert final.maturity == 1
            assert (final.delta, final.delta_low, final.delta_high) == (arm.delta, arm.delta_low, arm.delta_high)
            assert (final.low, final.high) == pytest.approx((arm.current.wilson_low, arm.current.wilson_high))


@settings(max_examples=25)
@given(made_of(st.booleans(), 10 * 1440), st.integers(9 * 1440, 10 * 1440), SPAN)
def test_counts_and_rates_are_of_one_window_and_without_calls_there_is_no_rate(
    made: list[Made], minute: int, hours: int
) -> None:
    made = [*made, (0, 9 * 1440 - 1, True, False)]
    found = seen(made, minute, hours)
    start = minute - 60 if hours == 1 else minute // 60 * 60 - 60 * hours
    before = minute // 60 * 60 - 60 * hours - 168 * 60
    assert found.as_of == datetime.fromtimestamp(START / 1e6 + minute * 60, UTC)
    arms = {arm.model: arm for arm in found.arms}
    for number, (_, model, _) in enumerate(ARMS):
        now = [call for call in made if call[0] == number and start <= call[1] < minute]
        then = [call for call in made if call[0] == number and before <= call[1] < before + 168 * 60]
        if model not in arms:
            assert not now + then
            continue
        arm = arms[model]
        assert (arm.baseline.calls, arm.current.calls) == (len(then), len(now))
        assert arm.current.calls == arm.current.resolved + arm.current.pending + arm.current.expired
        if not now:
            assert arm.corrected is None
            assert arm.current.rate is None
        if not arm.current.resolved:
            assert arm.state == "not_enough_evidence"
    for one in [*found.arms, found.overall]:
        final, earlier = one.best_rate, one.baseline.rate
        # Rates near 0 and 1 have no log odds of few outcomes: half an outcome is added there.
        if one.best_delta is not None and earlier is not None and final is not None and 0.25 <= final <= 0.75:
            assert one.best_delta == pytest.approx(final - earlier)


def steady(rate_now: float, per_hour: int) -> list[Made]:
    """Nine days at .9, then two days at another rate, of one arm."""
    rng = np.random.default_rng(3)
    minutes = [60 * hour + 7 * n for hour in range(11 * 24) for n in range(per_hour)]
    return [(0, at, bool(rng.random() < (0.9 if at < 9 * 1440 else rate_now)), True) for at in minutes]


@pytest.mark.parametrize(
    ("rate", "per_hour", "state"),
    [(0.9, 8, "no_model_worse"), (0.6, 8, "worse"), (0.0, 8, "worse"), (0.9, 1, "not_enough_evidence")],
)
def test_too_few_outcomes_are_a_state_of_their_own(rate: float, per_hour: int, state: str) -> None:
    found = seen(steady(rate, per_hour), 11 * 1440 + 45)
    assert found.state == state
    text = shown(lambda console: render(found, console))
    assert (NONE_WORSE in text) == (state == "no_model_worse")
    assert ("Not enough evidence" in text) == (state == "not_enough_evidence")


def test_a_span_without_a_resolved_call_is_not_enough_evidence() -> None:
    quiet = [(arm, at, good, answered and at < 9 * 1440) for arm, at, good, answered in steady(0.9, 8)]
    found = seen(quiet, 11 * 1440)
    assert found.state == "not_enough_evidence"
    text = shown(lambda console: render(found, console))
    assert "none of 384 calls in the last 48h has a verdict" in text
    assert NONE_WORSE not in text


def test_a_drop_is_timed_by_the_traffic_of_the_last_week() -> None:
    found = seen(steady(0.9, 8), 11 * 1440)
    (arm,) = found.arms
    assert arm.power is not None
    assert arm.power.outcomes_per_day == pytest.approx(8 * 24, rel=0.02)
    assert arm.power.days is not None
    assert 5 < arm.power.days < 30
