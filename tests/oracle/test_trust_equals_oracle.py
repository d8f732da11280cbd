"""The trust step gives what the slow, obvious implementation does, at any cut of the minutes."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aftercall.times import HOUR_US, to_us
from models.trust import Trust, TrustSettings
from oracle import trust as oracle
from simulated.trusted import START, A, B, Minute, cut

DAY = 24 * 60
DAYS = 7
counts = st.integers(0, 12)
minutes = st.builds(
    Minute,
    st.integers(START + 1, START + DAYS * DAY - 1),
    st.sampled_from([A, B, ("refund", "a", "v1"), ("support", "__other__", "__other__")]),
    *(counts, counts, counts, st.integers(0, 30), st.integers(0, 2), counts, counts, counts, counts),
    st.tuples(*(st.tuples(counts, counts),) * 3),
    st.integers(0, 200),
    silence=st.just(0),
)
histories = st.lists(minutes, max_size=20, unique_by=lambda row: (row.minute, row.group))
busy = [
    Minute(
        START + DAY * day + 60 * hour,
        A,
        calls=30,
        good=9,
        bad=2,
        bucket=3 * hour,
        errors=1,
        up=3,
        down=1,
        checks=((28, 2), (25, 1), (4, 0)),
    )
    for day in range(DAYS)
    for hour in (0, 8)
]


@pytest.mark.slow
@settings(max_examples=40, deadline=None)
@given(histories, st.lists(st.integers(START, START + DAYS * DAY), max_size=5))
def test_every_record_is_that_of_the_oracle(rows: list[Minute], cuts: list[int]) -> None:
    rows, through = [*busy, *rows], START + DAYS * DAY + 60
    trust = Trust(TrustSettings())
    found = [record for message in cut(rows, cuts, through) for record in trust.close(message)]
    wanted = oracle.records(rows, through)
    assert [(to_us(r.as_of) // HOUR_US, (r.task_type, r.model, r.config)) for r in found] == [
        (one.end, one.row) for one in wanted
    ]
    for record, one in zip(found, wanted, strict=True):
        # Both are rounded: to nine places, and points to three.
        assert (record.score, record.score_low, record.score_high) == pytest.approx(one[2:5], abs=1e-3), one
        assert record.coverage == pytest.approx(one.coverage, abs=1e-8)
        rates = {part.dimension: part for part in record.dimensions if part.rate is not None}
        assert rates.keys() == one.known.keys(), one
        for name, part in rates.items():
            assert (part.rate, part.low, part.high) == pytest.approx(one.known[name], abs=1e-8), (name, one)
        points = {move.dimension: move.points for move in record.moved}
        assert points == pytest.approx({k: v for k, v in one.points.items() if k in points}, abs=1e-3), one
        assert all(abs(one.points[k]) < 0.001 for k in one.points if k not in points), one
