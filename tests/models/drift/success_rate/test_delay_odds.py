"""What the detectors expect of arriving trials while traffic and delays do as they like."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.arrays import F64, I64
from models.drift.success_rate.call_counts import CallCounts, Calls
from models.drift.success_rate.delay_odds import Delays, odds
from models.stats.minute_delays import BUCKETS, EDGES, bucket_of
from models.stats.shiryaev_roberts import ShiryaevRoberts

DAY = 1440
START = 20_000 * DAY


def some_shares(seed: int = 0) -> F64:
    widths = np.diff(EDGES)
    drawn = np.random.default_rng(seed).dirichlet(np.ones(BUCKETS - 1), (3, 2))
    shares: F64 = drawn / widths
    return shares


def per_minute(counts: I64, minutes: I64) -> Calls:
    """Calls from a table (watches, minutes)."""
    at = np.repeat(minutes, counts.shape[0])
    return Calls(np.tile(np.arange(counts.shape[0]), len(minutes)), at, counts.T.ravel())


@settings(max_examples=10, deadline=None)
@given(st.integers(0, 10**6), st.lists(st.integers(30, 700), min_size=1, max_size=8))
def test_expected_arrivals_are_the_sum_over_all_calls_however_minutes_come_together(seed: int, cuts: list[int]) -> None:
    rng = np.random.default_rng(seed)
    hours = 80
    # Even within the hour: beyond two hours calls are only known by the hour.
    counts = np.repeat(rng.integers(0, 9, (3, hours)), 60, axis=1)
    first = START + 60 * int(rng.integers(0, 48))
    minutes = np.arange(first, first + counts.shape[1])
    rows = np.sort(rng.choice(minutes[-600:], 40))
    watch, unit = rng.integers(0, 3, 40), rng.integers(0, 3, 40)
    shares = some_shares(seed)
    whole, parts = CallCounts(), CallCounts()
    for counter in (whole, parts):
        counter.grow(3)
    got = whole.arriving(per_minute(counts, minutes), watch, rows, shares, unit)
    pieces, begin, turn = [], int(minutes[0]), 0
    while begin <= minutes[-1]:
        end = begin + cuts[turn % len(cuts)]
        turn += 1
        part = (minutes >= begin) & (minutes < end)
        mine = (rows >= begin) & (rows < end)
        calls = per_minute(counts[:, part], minutes[part])
        pieces.append(parts.arriving(calls, watch[mine], rows[mine], shares, unit[mine]))
        parts = CallCounts.from_state(parts.state())
        begin = end
    assert np.concatenate(pieces).tobytes() == got.tobytes()
    density = np.repeat(shares, np.diff(EDGES), axis=2)
    for row in range(0, 40, 5):
        age = rows[row] - minutes
        seen = (age >= 0) & (age < EDGES[-1])
        expected = density[unit[row]][:, age[seen]] @ counts[watch[row], seen]
        assert got[row] == pytest.approx(expected, rel=1e-9)


def test_delays_are_learned_from_cohorts_that_are_old_enough_and_drawn_towards_the_parent() -> None:
    delays = Delays()
    delays.grow([0, 0, 0], [4320, 4320, 4320])
    rng = np.random.default_rng(1)
    task, model = np.zeros(1, np.int64), np.ones(1, np.int64)
    for day in range(8):
        delays.begin_day(20_000 + day)
        for unit in (task, model):
            lag = rng.integers(0, 300, 500)
            one, minute = np.ones(500, np.int64), np.full(500, START + day * DAY + 700)
            delays.add(np.repeat(unit, 500), minute, (lag > 100).astype(np.int64), bucket_of(lag), one)
        if day < 4:
            assert not delays.known.any()
    assert delays.known.all()
    mass = delays.shares * np.diff(EDGES)
    assert mass.sum(axis=2) == pytest.approx(np.ones((3, 2)))
    assert mass[2] == pytest.approx(mass[0])  # has none of its own
    slow = EDGES[:-1] > 101
    assert mass[0, 0, slow].sum() < 0.02  # some are lent by the other kind
    assert mass[1, 1, ~slow].sum() < 0.2
    again = Delays.from_state(delays.state())
    assert again.shares.tobytes() == delays.shares.tobytes()


@pytest.mark.slow
@pytest.mark.parametrize("traffic", ["ramp", "day and night"])
def test_traffic_that_changes_raises_no_alarm_and_a_drop_does(traffic: str) -> None:
    """Failures are known after 10 minutes, successes after 5 hours, both log-normal."""
    rng = np.random.default_rng(4)
    groups, days = 30, 12
    clock = np.arange(days * 24)
    per_hour = (
        np.where(clock < 9 * 24, 20.0, 200.0) if traffic == "ramp" else 50 * (1 + 0.8 * np.sin(clock * np.pi / 12))
    )
    arrivals = np.zeros((2, groups, days * 24 + 200), np.int64)
    calls = np.zeros((groups, days * 24), np.int64)
    parts: list[I64] = []
    for hour in range(days * 24):
        n = rng.poisson(per_hour[hour], groups)
        calls[:, hour] = n
        group = np.repeat(np.arange(groups), n)
        failing = 0.15 if hour < 11 * 24 else 0.30
        success = (rng.random(len(group)) > failing).astype(np.int64)
        mean = np.where(success, np.log(300), np.log(10))
        lag = np.minimum(np.exp(rng.normal(mean, 1.2)), 4000).astype(np.int64)
        at = (hour * 60 + rng.integers(0, 60, len(group)) + lag) // 60
        np.add.at(arrivals, (success, group, np.minimum(at, days * 24 + 199)), 1)
        parts.append(np.stack((at, success, lag)))
    delays, counter = Delays(), CallCounts()
    delays.grow([0], [4320])
    counter.grow(groups)
    arrived = np.concatenate(parts, axis=1)
    arrived = arrived[:, np.argsort(arrived[0], kind="stable")]
    # Without the random effects, which would take the day and night for what hours vary of themselves.
    aware, blind = (ShiryaevRoberts(groups, dispersion=False) for _ in range(2))
    alarmed = {"aware": np.zeros(groups, np.bool_), "blind": np.zeros(groups, np.bool_)}
    found_after = np.zeros(groups, np.bool_)
    everyone, unit = np.arange(groups), np.zeros(groups, np.int64)
    for hour in range(days * 24):
        minute = START + hour * 60 + 59
        delays.begin_day(minute // DAY)
        # Calls come evenly, trials arrive at the end of their hour.
        even = np.repeat(calls[:, hour : hour + 1] // 60, 60, axis=1)
        even[:, -1] += calls[:, hour] % 60
        minutes = np.arange(minute - 59, minute + 1)
        expected = counter.arriving(
            per_minute(even, minutes),
            np.tile(everyone, 60),
            np.repeat(minutes, groups),
            delays.shares,
            np.tile(unit, 60),
        )
        expected = expected.reshape(60, groups, 2).sum(axis=0)
        _, kind, lag = arrived[:, slice(*np.searchsorted(arrived[0], (hour, hour + 1)).tolist())]
        one = np.ones(len(lag), np.int64)
        delays.add(one * 0, one * minute, kind, bucket_of(lag), one)
        f, s = arrivals[0, :, hour], arrivals[1, :, hour]
        if not delays.known[0]:
            continue
        for name, detector, factor in (("aware", aware, odds(expected)), ("blind", blind, np.ones(groups))):
            down, up = detector.update(everyone, s, f, minute, odds=factor)
            if hour < 11 * 24:
                alarmed[name] |= (down >= 1000) | (up >= 1000)
            elif name == "aware":
                found_after |= down >= 1000
    assert alarmed["aware"].sum() <= 1
    assert alarmed["blind"].sum() == groups
    assert found_after.mean() > 0.9
