"""Rates compared at every hour: repeated looks do not inflate the error rate."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest

from aftercall.times import HOUR_US
from models.stats import delay_distribution as delay
from models.stats.comparison import LOOKS, Span, _may_lie_apart, _sequences_apart, compare, level, reach
from models.stats.delay_correction import Expected, correct, expected, shrunken
from models.stats.intervals import newcombe, wilson

LOOKBACK, BASELINE = 48, 168
FIRST = LOOKBACK + BASELINE


def histories(
    rng: np.random.Generator, groups: int, per_hour: float, rate: float = 0.85, drop: float = 0.0
) -> list[tuple[Span, Span]]:
    """What is known at every hour of four weeks: (baseline, current) `drop` midway.

    Failures are known after 10 minutes, successes after 3 hours (medians); half of the calls never get a verdict.
    """
    hours = FIRST + LOOKS
    calls = rng.poisson(per_hour, (groups, hours))
    group, made = (
        np.repeat(np.repeat(np.arange(groups), hours), calls.ravel()),
        np.repeat(np.tile(np.arange(hours), groups), calls.ravel()),
    )
    good = rng.random(len(group)) < np.where(made >= FIRST + LOOKS // 2, rate - drop, rate)
    slow = np.where(good, 3.0, 1 / 6) * np.exp(rng.normal(0, 1.2, len(group)))
    arrives = np.ceil(made + rng.random(len(group)) + slow).astype(np.int64)
    answered = rng.random(len(group)) < 0.5

    def seen(chosen: np.ndarray, known: np.ndarray, first: int, last: int) -> np.ndarray:
        """Calls of the hours t - last .. t - first known at t, shape (groups, hours + 1)."""
        enters, leaves = np.maximum(made + first, known)[chosen], (made + last + 1)[chosen]
        some = enters < leaves
        width = 2 * hours + 400
        steps = np.zeros(groups * width, np.int64)
        for at, sign in ((enters, 1), (leaves, -1)):
            places = group[chosen][some] * width + np.minimum(at[some], width - 1)
            steps += sign * np.bincount(places, minlength=len(steps))
        return np.cumsum(steps.reshape(groups, width), axis=1)[:, : hours + 1]

    everybody = np.ones(len(group), bool)
    spans = []
    for first, last in ((LOOKBACK + 1, FIRST), (1, LOOKBACK)):
        spans.append(
            [
                seen(everybody, made, first, last),
                *(seen(answered & side, arrives, first, last) for side in (good, ~good)),
            ]
        )
    return [(Span(*(c[:, t] for c in spans[0])), Span(*(c[:, t] for c in spans[1]))) for t in range(FIRST, hours)]


def corrected_of(current: Span) -> tuple[np.ndarray, np.ndarray]:
    """The corrected interval at an even traffic, from a history of 4,000 verdicts."""
    share = Expected(*(part * current.calls for part in arrived()))
    found = correct(current.successes, current.failures, current.calls, share, (np.array(600.0), np.array(3400.0)))
    return found.low, found.high


@cache
def arrived() -> Expected:
    """Of the calls of two days, the share whose verdicts are in, and its spread."""
    rng = np.random.default_rng(1)
    within = np.zeros((1, 2, delay.DELAY_BUCKETS), np.int64)
    for side, (median, number) in enumerate(((1 / 6, 600), (3.0, 3400))):
        lengths = (median * HOUR_US * np.exp(rng.normal(0, 1.2, number))).astype(np.int64)
        within[0, side] = np.bincount(delay.delay_bucket(lengths), minlength=delay.DELAY_BUCKETS)
    history = shrunken(within, np.cumsum(within, axis=-1), np.zeros(1, np.int64))
    ages = (np.arange(LOOKBACK * 60) * HOUR_US // 60).astype(np.int64)
    each = expected(history, np.zeros(len(ages), np.int64), np.ones(len(ages), np.int64), ages)
    return Expected(*(part.mean() for part in each))


@pytest.mark.slow
def test_four_weeks_of_looks_at_every_hour_name_hardly_any_group_that_has_not_changed() -> None:
    """240 groups, 672 looks each; at most 5 % of the groups may ever be named."""
    rng = np.random.default_rng(11)
    named, shown, once = (np.zeros(0, bool) for _ in range(3))
    for per_hour, rate in ((2, 0.85), (2, 0.97), (20, 0.85)):
        ever, apart, plain = (np.zeros(80, bool) for _ in range(3))
        for baseline, current in histories(rng, 80, per_hour, rate):
            found = compare(baseline, current, corrected_of(current), groups=1)
            ever |= found.worse | found.better
            apart |= (found.final_low > 0) | (found.final_high < 0)
            before, now = (side.successes + side.failures for side in (baseline, current))
            low, high = newcombe(baseline.successes, before, current.successes, now)
            plain |= (low > 0) | (high < 0)
        named, shown, once = (np.concatenate(pair) for pair in ((named, ever), (shown, apart), (once, plain)))
    assert named.mean() <= 0.05
    assert once.mean() > 0.6, "an interval made for one look, read every hour, names most of them"
    assert shown.mean() < 0.2, "that of the difference holds for one pair of spans, not for 672"


def test_an_estimate_watched_while_it_ripens_stays_within_reach() -> None:
    """2,000 estimates of log odds 0, each looked at 60 times as its variance falls from 1 to 1/300."""
    rng = np.random.default_rng(8)
    information = np.geomspace(1, 300, 60)
    steps = np.diff(np.concatenate(([0.0], information)))
    walk = np.cumsum(rng.normal(0, np.sqrt(steps), (2000, 60)), axis=1)
    errors = np.abs(walk) / np.sqrt(information)
    assert (errors > 1.96).any(axis=1).mean() > 0.2
    assert (errors > reach(1 / information, 0.05)).any(axis=1).mean() <= 0.05


@pytest.mark.slow
def test_a_drop_of_ten_points_is_named_though_the_level_is_strict() -> None:
    rng = np.random.default_rng(12)
    last = histories(rng, 100, 40, drop=0.10)[LOOKS // 2 + LOOKBACK]
    found = compare(*last, corrected_of(last[1]), groups=10)
    assert found.worse.mean() > 0.9
    assert not found.better.any()
    assert (found.final_low < -0.1).mean() > 0.95
    assert (found.final_high < 0).mean() > 0.95
    assert abs(found.final.mean() + 0.1) < 0.01


def test_a_span_that_is_younger_than_its_verdicts_is_not_called_worse_before_delays_are_known() -> None:
    """Only the fast failures are in: the rate looks terrible, and shows nothing."""
    before = Span(np.array([4000]), np.array([1700]), np.array([300]))
    young = Span(np.array([2000]), np.array([300]), np.array([150]))
    unknown = (np.array([np.nan]), np.array([np.nan]))
    assert wilson(300, 450)[1] < 0.75
    assert not compare(before, young, unknown).worse[0]
    ripe = Span(np.array([2000]), np.array([667]), np.array([333]))
    assert compare(before, ripe, unknown).worse[0]


def test_the_level_is_shared_by_all_groups_and_looks() -> None:
    assert level(1) * LOOKS == 0.05
    assert level(7) * 7 == level(1)
    assert level(0) == level(1)


def test_without_outcomes_on_either_side_nothing_is_compared() -> None:
    nothing, some = Span(*(np.zeros(1, np.int64) for _ in range(3))), Span(*(np.array([n]) for n in (100, 1, 99)))
    unknown = (np.array([np.nan]), np.array([np.nan]))
    for pair in ((nothing, some), (some, nothing), (nothing, nothing)):
        found = compare(*pair, unknown)
        assert not found.worse[0]
        assert not found.better[0]
        assert np.isnan(found.low[0])


def test_where_all_calls_fail_or_none_does_the_change_is_seen() -> None:
    """Near 0 and 1 log odds are far from normal: these are the cases that anyone sees."""
    unknown, known = np.full(2, np.nan), (np.array([0.0001, 0.99]), np.array([0.01, 0.9999]))
    before = Span(np.array([1344, 1344]), np.array([1204, 670]), np.array([140, 674]))
    now = Span(np.array([384, 384]), np.array([0, 384]), np.array([384, 0]))
    for corrected in ((unknown, unknown), known):
        found = compare(before, now, corrected)
        assert (found.worse.tolist(), found.better.tolist()) == ([True, False], [False, True])
    # A corrected interval that reaches the old rate speaks against it.
    assert not compare(before, now, (np.full(2, 0.01), np.full(2, 0.99))).worse.any()


def test_all_sequences_that_lie_apart_are_looked_at() -> None:
    rng, groups = np.random.default_rng(3), 40_000
    sides = []
    for _ in range(2):
        trials = 10 ** rng.uniform(-1, rng.choice([2, 4, 8], groups))
        good = trials * np.clip(rng.choice([0, 0.01, 0.5, 0.9, 1], groups) + rng.normal(0, 0.05, groups), 0, 1)
        whole = rng.random(groups) < 0.8
        good, bad = (np.where(whole, np.floor(part), part) for part in (good, trials - good))
        silent = np.where(rng.random(groups) < 0.5, 0.0, trials * rng.random(groups))
        sides.append(Span(good + bad + silent, good, bad))
    alpha = 10 ** rng.uniform(-9, -1, groups)
    ends = np.full(groups, 0.5), np.full(groups, 0.5)  # on neither side of a sequence that has a half
    unknown = np.full(groups, np.nan), np.full(groups, np.nan)
    looked_at = _may_lie_apart(sides[0], sides[1], alpha)
    for corrected in (unknown, ends):
        lower, higher = _sequences_apart(sides[0], sides[1], corrected, alpha)
        assert not ((lower | higher) & ~looked_at).any()
    lower, higher = _sequences_apart(sides[0], sides[1], unknown, alpha)
    assert min(lower.sum(), higher.sum()) > 3_000
    # Not one in ten is looked at in vain, so that it is worth it; sequences nearly touch in those.
    assert (looked_at & ~(lower | higher)).mean() < 0.1
