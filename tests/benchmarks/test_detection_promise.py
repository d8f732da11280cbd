from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import poisson

from benchmarks.detection import hours, promise, rule
from benchmarks.detection.ours import MARGIN, PLAIN, SHIPPED
from benchmarks.detection.populations import STREAMS, Levels, Population, Stream, population
from benchmarks.detection.promise import NEVER, THRESHOLDS, Batch, Lab, poisson_upper, tallies

pytestmark = pytest.mark.statistics

WEEK = 10_080


@given(st.integers(0, 200))
def test_the_poisson_bound_is_the_mean_that_leaves_five_percent_below(count: int) -> None:
    assert poisson.cdf(count, poisson_upper(count)) == pytest.approx(0.05, abs=1e-6)


@given(st.data(), st.integers(2, 4), st.integers(1, 6))
@settings(max_examples=40, deadline=None)
def test_alarms_and_exposure_are_counted_by_phase(data: st.DataObject, weeks: int, groups: int) -> None:
    minutes = st.lists(st.integers(NEVER, weeks * WEEK - 1), min_size=8 * groups, max_size=8 * groups)
    found = np.array(data.draw(minutes)).reshape(4, 2, groups)
    expected = {}
    for number, threshold in enumerate(THRESHOLDS):
        for phase, low, high in (("first week", 0, WEEK), ("later weeks", WEEK, weeks * WEEK)):
            counts, exposure = [0, 0], 0
            for direction in (0, 1):
                for at in found[number, direction].tolist():
                    counts[direction] += low <= at < high
                    until = weeks * WEEK if at == NEVER else at
                    exposure += max(0, min(until, high) - low)
            expected[phase, threshold] = (*counts, exposure / WEEK)
    got = {(t.phase, t.threshold): (t.drops, t.rises, t.exposure) for t in tallies(found, weeks)}
    assert got.keys() == expected.keys()
    assert np.allclose([got[key] for key in expected], list(expected.values()), rtol=1e-12)


def test_first_alarms_are_those_of_a_group_that_is_watched_alone() -> None:
    rng = np.random.default_rng(2)
    people = population(6, rng)
    stream = Stream("mixed", daily=0.02, cycle=0.1)
    traffic = list(promise.batches(Levels(stream, people, rng), people, 14 * 24, 60, rng))
    thresholds = (0.5, 3.0, 40.0)
    found = promise.first_alarms(Lab(6, PLAIN), 6, iter(traffic), thresholds)
    for group in range(6):
        lab, expected = Lab(1, PLAIN), np.full((3, 2), NEVER)
        for batch in traffic:
            mine = batch.rows == group
            if not mine.any():
                continue
            alone = Batch(batch.minute, np.array([0]), batch.successes[mine], batch.failures[mine])
            for direction, mean in enumerate(lab.update(alone)):
                for number, threshold in enumerate(thresholds):
                    if mean[0] >= threshold and expected[number, direction] == NEVER:
                        expected[number, direction] = batch.minute
        assert (found[..., group] == expected).all()
    assert (found != NEVER).any()
    assert (found == NEVER).any()


@pytest.mark.parametrize("minutes", [1, 60])
def test_traffic_has_the_rates_of_its_population(minutes: int) -> None:
    rng = np.random.default_rng(3)
    people = Population(np.array([0.05, 0.3, 0.6]), np.array([300.0, 3000.0, 9000.0]))
    traffic = list(promise.batches(Levels(STREAMS[0], people, rng), people, 10 * 24, minutes, rng, rise_at=5 * 24))
    assert [batch.minute for batch in traffic] == list(range(0, 10 * 1440, minutes))
    failures, trials = hours.counts(traffic, 240, 3)
    assert trials.sum(axis=0) == pytest.approx(people.per_day * 10, rel=0.06)
    for part, rise in ((slice(0, 120), 0.0), (slice(120, 240), 0.1)):
        shares = failures[part].sum(axis=0) / trials[part].sum(axis=0)
        assert shares == pytest.approx(people.failure + rise, abs=0.03)


def test_levels_vary_as_much_as_their_stream_declares() -> None:
    people = Population(np.full(4000, 0.2), np.full(4000, 100.0))
    for stream in (Stream("h", hourly=0.01), Stream("d", daily=0.005)):
        levels = Levels(stream, people, np.random.default_rng(5))
        day = np.stack([levels.hour(hour) for hour in range(48)])
        correlation = stream.hourly or stream.daily
        assert day[0].mean() == pytest.approx(0.2, abs=0.005)
        assert day[0].var() == pytest.approx(correlation * 0.2 * 0.8, rel=0.1)
        together = np.corrcoef(day[0], day[23])[0, 1], np.corrcoef(day[23], day[24])[0, 1]
        assert together == pytest.approx((1.0, 0.0) if stream.daily else (0.0, 0.0), abs=0.06)
    cycle = Levels(Stream("c", cycle=0.02), people, np.random.default_rng(5))
    course = [float(cycle.hour(hour)[0]) for hour in range(24)]
    assert (max(course), min(course), np.mean(course)) == pytest.approx((0.22, 0.18, 0.2), abs=5e-4)


def test_the_plain_formula_breaks_its_promise_on_day_effects_and_keeps_it_on_independent_outcomes() -> None:
    """The laboratory distinguishes the one from the other: it would be no proof if it could not."""
    kept = promise.run(STREAMS[0], PLAIN, groups=300, weeks=3, minutes=60, seed=1)
    broken = promise.run(STREAMS[-1], PLAIN, groups=300, weeks=3, minutes=60, seed=1)
    later = [(a, b) for a, b in zip(kept, broken, strict=True) if a.phase == "later weeks" and a.threshold == 100]
    ((good, bad),) = later
    assert good.ratio < 1
    assert bad.ratio > 5
    assert good.upper > good.ratio


def test_chunks_of_groups_are_added_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(promise, "_CHUNK", 40)
    rows = promise.run(STREAMS[1], SHIPPED, groups=100, weeks=2, minutes=60, seed=1)
    assert [(row.phase, row.threshold) for row in rows] == [
        (phase, threshold) for phase in ("first week", "later weeks") for threshold in THRESHOLDS
    ]
    least_alarms = [row for row in rows if row.threshold == 10_000]
    assert [row.exposure for row in least_alarms] == pytest.approx([200, 200], abs=2)


def test_a_margin_holds_for_busy_groups_only() -> None:
    trials, days = np.array([299.0, 301.0, 3000.0, 3001.0]), np.array([0.1, 0.5, 10.0, 10.0])
    assert MARGIN.margin_of(trials, days).tolist() == [0.0, 0.01, 0.0, 0.01]
    assert not PLAIN.margin_of(trials, days).any()


@given(st.integers(0, 5))
@settings(max_examples=6, deadline=None)
def test_the_rule_of_thumb_fires_as_counted_by_hand(seed: int) -> None:
    rng = np.random.default_rng(seed)
    trials = rng.poisson(2, (260, 3))
    failures = rng.binomial(trials, 0.2)
    least = 90
    fires = rule.firing(failures, trials, least)
    expected = np.zeros((260, 3), np.bool_)
    for hour in range(215, 260):
        for group in range(3):
            recent, past = slice(hour - 47, hour + 1), slice(hour - 215, hour - 47)
            f1, n1 = failures[recent, group].sum(), trials[recent, group].sum()
            f0, n0 = failures[past, group].sum(), trials[past, group].sum()
            expected[hour, group] = min(n0, n1) >= least and f1 / n1 - f0 / n0 > 0.05
    assert (fires == expected).all()
    first = rule.first_alarms(failures, trials, least, 220)
    for group in range(3):
        at = np.flatnonzero(expected[220:, group])
        assert first[group] == (at[0] + 1 if len(at) else NEVER)


def test_the_rule_raises_nothing_before_its_spans_are_whole() -> None:
    assert not rule.firing(np.full((50, 2), 9), np.full((50, 2), 10), 1).any()


@pytest.mark.parametrize("stream", STREAMS[1:], ids=lambda stream: stream.name)
def test_as_shipped_the_promise_is_kept_from_the_first_day_on(stream: Stream) -> None:
    """1,500 group-weeks at A = 100 allow 15 false alarms."""
    found = promise.run(stream, SHIPPED, groups=1500, weeks=1, minutes=10, seed=9)
    (tally,) = (t for t in found if t.phase == "first week" and t.threshold == 100)
    assert tally.upper <= 1.0, (tally.drops, tally.rises, tally.promised)
