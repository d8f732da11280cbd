"""Draws follow the weights: at random and by key, over all arms and over those that are allowed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from itertools import accumulate
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import chisquare, kstest

from aftercall.routes.arms import Arm
from aftercall.routes.draw import Weights, place_of, random_place

PLACES = 1_000


def arms(count: int) -> list[Arm]:
    return [Arm(f"model-{number}", f"v{number % 3}") for number in range(count)]


@st.composite
def shares(draw: st.DrawFn, count: int | None = None) -> list[float]:
    """Weights that sum to 1, some of them 0."""
    size = st.just(count) if count is not None else st.integers(1, 8)
    parts = draw(size.flatmap(lambda n: st.lists(st.integers(0, 1_000), min_size=n, max_size=n).filter(any)))
    return [part / sum(parts) for part in parts]


def counted(weights: Weights, places: Sequence[float], allowed: set[Arm] | None = None) -> Counter[Arm]:
    return Counter(drawn[0] for place in places if (drawn := weights.at(place, allowed)) is not None)


EVEN = [(number + 0.5) / PLACES for number in range(PLACES)]


@given(shares(), st.data())
def test_an_arm_has_the_places_of_its_weight_among_the_allowed(given_: list[float], data: st.DataObject) -> None:
    every = arms(len(given_))
    chosen = data.draw(st.none() | st.sets(st.sampled_from([*every, Arm("unknown")])))
    weights = Weights(list(zip(every, given_, strict=True)))
    inside = {arm: w for arm, w in zip(every, given_, strict=True) if w and (chosen is None or arm in chosen)}
    found = counted(weights, EVEN, chosen)
    assert set(found) <= set(inside)
    for arm, weight in inside.items():
        assert found[arm] == pytest.approx(PLACES * weight / sum(inside.values()), abs=1.001)


@given(shares(), st.data(), st.floats(0, 1, exclude_max=True))
def test_the_propensity_is_the_probability_of_this_draw(given_: list[float], data: st.DataObject, place: float) -> None:
    every = arms(len(given_))
    chosen = data.draw(st.none() | st.sets(st.sampled_from(every)))
    inside = {arm: w for arm, w in zip(every, given_, strict=True) if w and (chosen is None or arm in chosen)}
    drawn = Weights(list(zip(every, given_, strict=True))).at(place, chosen)
    if drawn is None:
        assert not inside
        return
    arm, propensity = drawn
    assert propensity == pytest.approx(inside[arm] / sum(inside.values()), rel=1e-9)
    assert 0 < propensity <= 1


@given(shares(), st.randoms(use_true_random=False), st.floats(0, 1, exclude_max=True))
def test_the_order_in_which_arms_are_listed_decides_nothing(given_: list[float], random: Random, place: float) -> None:
    pairs = list(zip(arms(len(given_)), given_, strict=True))
    shuffled = random.sample(pairs, len(pairs))
    assert Weights(pairs).at(place) == Weights(shuffled).at(place)


@given(st.integers(1, 8).flatmap(lambda n: st.tuples(shares(n), shares(n))))
def test_a_place_changes_its_arm_only_as_far_as_weights_move(two: tuple[list[float], list[float]]) -> None:
    before, after = two
    every = sorted(arms(len(before)))
    old, new = (Weights(list(zip(every, one, strict=True))) for one in two)
    ends = [list(accumulate(one)) for one in (before, after)]
    moved = sum(abs(a - b) for a, b in zip(*ends, strict=True))
    changed = sum(old.at(place)[0] != new.at(place)[0] for place in EVEN)  # type: ignore[index] # some arm has a weight
    assert changed <= PLACES * moved + len(before)


@pytest.mark.parametrize("task_type", ["triage", "refund", "Übersetzung"])
def test_places_of_keys_are_even(task_type: str) -> None:
    assert kstest([place_of(task_type, f"user-{number}") for number in range(20_000)], "uniform").pvalue > 1e-3


def test_a_hundred_thousand_draws_follow_the_weights_at_random_and_by_key() -> None:
    expected = {Arm("a"): 0.7, Arm("b"): 0.2, Arm("b", "v2"): 0.07, Arm("c"): 0.03}
    weights = Weights(list(expected.items()))
    random = Random(5)
    for places in ([random.random() for _ in range(100_000)], [place_of("t", number) for number in range(100_000)]):
        found = counted(weights, places)
        result = chisquare([found[arm] for arm in expected], [100_000 * weight for weight in expected.values()])
        assert result.pvalue > 1e-3, found


@given(st.text(), st.text() | st.integers() | st.uuids())
def test_a_key_has_one_place_per_task_type_and_an_integer_that_of_its_digits(task_type: str, key: object) -> None:
    assert place_of(task_type, key) == place_of(task_type, str(key))
    assert 0 <= place_of(task_type, key) < 1


def test_keys_of_one_task_type_say_nothing_about_another() -> None:
    agree = sum((place_of("a", key) < 0.5) == (place_of("b", key) < 0.5) for key in range(10_000))
    assert 4_700 < agree < 5_300


def test_places_at_random_are_even() -> None:
    assert kstest([random_place() for _ in range(5_000)], "uniform").pvalue > 1e-9  # by chance once in 10^9 runs


@pytest.mark.parametrize(
    "broken",
    [[], [0.0], [0.5], [1.1], [-0.1, 1.1], [float("nan"), 1.0], [float("inf")], [0.5, 0.50001], [10**400]],
)
def test_broken_weights_are_refused(broken: list[float]) -> None:
    with pytest.raises(ValueError):
        Weights(list(zip(arms(len(broken)), broken, strict=True)))


def test_an_arm_that_comes_twice_is_refused() -> None:
    with pytest.raises(ValueError, match="twice"):
        Weights([(Arm("a"), 0.5), (Arm("a"), 0.5)])
