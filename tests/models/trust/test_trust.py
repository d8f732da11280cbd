"""Scores of groups and task types follow their checks, age without them, and hang on no cut of minutes."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aftercall.records import to_json
from aftercall.times import HOUR_US, MINUTES_PER_DAY, to_us
from aftercall.trust_record import TrustDimension, TrustRecord
from models import plain
from models.messages import Closed
from models.stats.minute_delays import bucket_of
from models.trust import Trust, TrustSettings
from simulated.trusted import START, A, B, Minute, closed, cut

WEEKS = 7 * MINUTES_PER_DAY
DAY = MINUTES_PER_DAY
steady = [
    Minute(START + 60 * hour, group, calls=20, good=9, bad=1, up=4, down=1, checks=((19, 1), (20, 0), (20, 0)))
    for hour in range(24 * 14)
    for group in (A, B)
]


def run(messages: Sequence[Closed], trust: Trust | None = None) -> list[TrustRecord]:
    """All records of messages."""
    trust = Trust(TrustSettings()) if trust is None else trust
    return [record for message in messages for record in trust.close(message)]


def last(records: Sequence[TrustRecord], model: str | None = "a") -> TrustRecord:
    """The newest of a series."""
    return [record for record in records if record.model == model][-1]


def dimension(record: TrustRecord, name: str) -> TrustDimension:
    """One dimension of a record."""
    (found,) = [part for part in record.dimensions if part.dimension == name]
    return found


def test_a_score_is_the_weighted_mean_of_the_dimensions_with_evidence() -> None:
    record = last(run([closed(steady, START + 2 * WEEKS)]))
    known = [part for part in record.dimensions if part.rate is not None]
    total = sum(part.weight for part in known)
    assert [part.dimension for part in known] == ["accuracy", "reliability", "safety", "latency", "acceptance"]
    assert record.coverage == pytest.approx(total)
    assert record.score == pytest.approx(1000 * sum(p.weight * p.rate for p in known if p.rate) / total, abs=1e-3)
    rates = [round(part.rate or 0, 2) for part in known]
    assert rates == [0.9, 1.0, 1.0, 0.95, 0.8]
    assert record.score_low is not None
    assert record.score_high is not None
    assert record.score is not None
    assert record.score_low < record.score < record.score_high


def test_the_task_type_as_a_whole_has_a_row_that_counts_all_its_groups() -> None:
    records = run([closed(steady, START + 2 * WEEKS)])
    whole, one = last(records, None), last(records, "a")
    assert (whole.model, whole.config, whole.series) == (None, None, '["support",null,null]')
    assert dimension(whole, "latency").n == pytest.approx(2 * dimension(one, "latency").n, abs=0.2)


def test_without_evidence_a_score_stays_its_interval_widens_and_coverage_falls() -> None:
    trust = Trust(TrustSettings())
    before = last(run([closed(steady, START + 2 * WEEKS)], trust))
    later = run([closed([], START + 10 * WEEKS)], trust)
    assert {record.as_of.hour for record in later} == {0}, "as evidence ages, once a day"
    after = last(later)
    assert after.score == pytest.approx(before.score, abs=0.5)
    assert after.score_low is not None
    assert before.score_low is not None
    assert after.score_low < before.score_low - 3
    assert dimension(after, "latency").n == pytest.approx(dimension(before, "latency").n / 16, rel=1e-3)
    gone = last(run([closed([], START + 80 * WEEKS)], trust))
    assert gone.coverage == 0
    assert (gone.score, gone.score_low, gone.tier) == (None, None, None)
    assert run([closed([], START + 90 * WEEKS)], trust) == [], "what has no evidence left is not repeated"


def test_rows_are_issued_at_the_ends_of_hours_with_checks_and_at_midnight() -> None:
    rows = [Minute(START + 60 * 5 + 59, A, calls=3), Minute(START + 60 * 7, B, calls=3)]
    records = run([closed(rows, START + DAY + 1)])
    seen = [(to_us(record.as_of) // HOUR_US - START // 60, record.model) for record in records]
    assert seen == [(6, None), (6, "a"), (8, None), (8, "b"), (24, None), (24, "a"), (24, "b")]


def test_failed_attempts_are_no_calls_and_errors_are_calls_that_fail() -> None:
    record = last(run([closed([Minute(START, A, calls=10, errors=2, attempts=5)], START + 60)]))
    assert dimension(record, "reliability").n == 10
    assert dimension(record, "reliability").rate == pytest.approx(0.8)


def test_what_has_folded_counts_for_its_task_type_alone() -> None:
    rows = [
        Minute(START, ("support", "__other__", "__other__"), calls=5),
        Minute(START, ("__other__", "__other__", "__other__"), calls=5),
        Minute(START, A, calls=5),
    ]
    records = run([closed(rows, START + 60)])
    assert [(record.task_type, record.model) for record in records] == [("support", None), ("support", "a")]
    assert dimension(records[0], "reliability").n == 10


def test_accuracy_waits_until_it_is_known_how_long_verdicts_take() -> None:
    records = run([closed(steady, START + 2 * WEEKS)])
    first = next(record for record in records if record.model == "a" and record.coverage > 0.5)
    days = (to_us(first.as_of) // HOUR_US - START // 60) / 24
    assert 4 <= days <= 5
    assert dimension(first, "accuracy").rate == pytest.approx(0.9, abs=0.01)


def test_accuracy_is_that_of_all_verdicts_where_failures_are_reported_faster() -> None:
    """Successes take 40 h; on the last day traffic has grown tenfold, so that most of what came are failures."""
    rows = []
    for hour in range(24 * 8):
        many = 10 if hour >= 24 * 7 else 1
        for at, good, bad, bucket in ((hour, 0, 10, 0), (hour + 40, 90, 0, int(bucket_of(np.array([2400]))[0]))):
            if at < 24 * 8:
                rows.append(
                    Minute(
                        START + 60 * at + (bucket > 0),
                        A,
                        calls=100 * many * (good == 0),
                        good=good * many,
                        bad=bad * many,
                        bucket=bucket,
                    )
                )
    record = last(run([closed(rows, START + 8 * DAY)]))
    plain_rate = sum(row.good for row in rows) / sum(row.good + row.bad for row in rows)
    assert plain_rate < 0.85
    found = dimension(record, "accuracy")
    assert found.rate == pytest.approx(0.9, abs=0.012)
    assert found.low is not None
    assert found.high is not None
    assert found.low < 0.9 < found.high


def test_the_points_that_dimensions_moved_sum_to_the_difference_from_a_day_before() -> None:
    worse = [
        Minute(START + 14 * DAY + 60 * hour, A, calls=200, checks=((100, 100), (180, 20), (150, 50)))
        for hour in range(20)
    ]
    records = run([closed([*steady, *worse], START + 15 * DAY)])
    now = last(records)
    (before,) = [r for r in records if r.model == "a" and r.as_of == now.as_of - timedelta(days=1)]
    assert now.score is not None
    assert before.score is not None
    assert sum(move.points for move in now.moved) == pytest.approx(now.score - before.score, abs=0.01)
    points = [abs(move.points) for move in now.moved]
    assert points == sorted(points, reverse=True)
    assert [(move.dimension, move.rule) for move in now.moved[:2]] == [
        ("safety", "refund.kind"),
        ("latency", "refund.fast"),
    ]


def test_another_formula_is_another_series_and_moves_nothing() -> None:
    trust = Trust(TrustSettings())
    worse = [Minute(START + 2 * WEEKS - 1, A, checks=((0, 50), (0, 0), (0, 0)))]
    before = last(run([closed([*steady, *worse], START + 2 * WEEKS)], trust))
    assert before.moved
    weights = (0.1, 0.35, *TrustSettings().weights[2:])
    other = Trust.from_state(trust.state(), TrustSettings(weights=weights))
    now = last(run([closed([Minute(START + 2 * WEEKS, A, calls=1)], START + 2 * WEEKS + 60)], other))
    assert now.formula != before.formula
    assert now.moved == []


def test_a_tier_is_given_by_the_lower_end_and_only_where_tiers_are_set() -> None:
    assert {record.tier for record in run([closed(steady, START + WEEKS)])} == {None}
    tiers = {"silver": 900.0, "gold": 960.0, "none": 0.0}
    found = run([closed(steady, START + 2 * WEEKS)], Trust(TrustSettings(tiers=tiers)))
    for record in found:
        assert record.score_low is not None
        reached = [name for name, least in tiers.items() if record.score_low >= least]
        assert record.tier == max(reached, key=tiers.__getitem__)
    assert len({record.tier for record in found}) > 1


def test_verdicts_that_conversations_share_widen_the_interval() -> None:
    shared = [row._replace(excess=64 * 30) for row in steady]
    plain_, wide = (last(run([closed(rows, START + 2 * WEEKS)])) for rows in (steady, shared))
    both = [dimension(record, "accuracy") for record in (plain_, wide)]
    widths = [part.high - part.low for part in both if part.high is not None and part.low is not None]
    assert widths[1] > 1.5 * widths[0]
    assert both[0].rate == pytest.approx(both[1].rate or 0, abs=1e-3)


def test_where_silence_decides_its_verdicts_are_expected_at_the_horizon() -> None:
    """Failures are reported at once, and success is silence for 5 days: counted as they come, most are failures."""
    rows = [
        row
        for hour in range(24 * 16)
        for row in (
            Minute(START + 60 * hour, A, calls=50, bad=5),
            *([Minute(START + 60 * hour + 1, A, silence=45, bucket=40)] if hour >= 120 else []),
        )
    ]
    trust = Trust(TrustSettings(silence_us={"support": 120 * HOUR_US}))
    found = dimension(last(run([closed(rows, START + 16 * DAY)], trust)), "accuracy")
    assert found.rate == pytest.approx(0.9, abs=0.01)


counts = st.integers(0, 8)
minutes = st.builds(
    Minute,
    st.integers(START, START + 9 * DAY) | st.integers(START + 60, START + 150),
    st.sampled_from([A, B, ("refund", "a", "v1"), ("support", "__other__", "__other__")]),
    *(counts, counts, counts, st.integers(0, 35), st.integers(0, 2), counts, counts, counts, counts),
    st.tuples(*(st.tuples(counts, counts),) * 3),
    st.integers(0, 200),
    counts,
)
histories = st.lists(minutes, max_size=40, unique_by=lambda row: (row.minute, row.group))


@pytest.mark.slow
@settings(max_examples=60, deadline=None)
@given(histories, st.lists(st.integers(START, START + 12 * DAY), max_size=8))
def test_no_cut_of_the_minutes_and_no_restart_changes_a_record(rows: list[Minute], cuts: list[int]) -> None:
    through = START + 12 * DAY
    whole = run([closed(rows, through)])
    trust, found = Trust(TrustSettings()), list[TrustRecord]()
    for message in cut(rows, cuts, through):
        found += trust.close(message)
        trust = Trust.from_state(plain.unpack(plain.pack(trust.state())), TrustSettings())
    assert list(map(to_json, found)) == list(map(to_json, whole))


def test_names_are_issued_in_order_whatever_order_they_came_in() -> None:
    rows = [Minute(START, B, calls=1), Minute(START + 1, A, calls=1)]
    for cuts in ([], [START + 1]):
        assert [record.model for record in run(cut(rows, cuts, START + 60))] == [None, "a", "b"]
    assert np.isfinite(last(run([closed(rows, START + 60)])).coverage)
