"""River's detectors, taken apart, packed and made again, go on as if nothing had happened."""

from __future__ import annotations

from random import Random
from typing import Any, Final

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models import plain
from models.drift.river_codecs import (
    adwin,
    adwin_from,
    adwin_plain,
    page_hinkley,
    page_hinkley_from,
    page_hinkley_plain,
)

ADWIN_SEES: Final = ("estimation", "width", "total", "variance", "n_detections", "drift_detected")
PAGE_HINKLEY_SEES: Final = ("_sum_increase", "_sum_decrease", "_min_increase", "_max_decrease", "drift_detected")
LENGTHS = st.sampled_from([0, 1, 2, 31, 32, 33, 1000]) | st.integers(0, 2500)
SETTINGS = st.fixed_dictionaries(
    {
        "min_instances": st.sampled_from([1, 30, 1000]),
        "delta": st.sampled_from([0.005, 0.1]),
        "threshold": st.sampled_from([5.0, 60.0]),
        "alpha": st.sampled_from([1.0, 0.9999]),
        "mode": st.sampled_from(["both", "up", "down"]),
    }
)


def values(seed: int, length: int) -> list[float]:
    """With a shift in the middle."""
    random = Random(seed)
    return [random.gauss(0.0, 1.0) + (3.0 if 2 * at > length else 0.0) for at in range(length)]


def course(detector: Any, seen: tuple[str, ...], seed: int) -> list[tuple[Any, ...]]:
    """What the detector holds before and after each of 2,000 more values."""
    found = [tuple(getattr(detector, name) for name in seen)]
    for value in values(seed, 2000):
        detector.update(value)
        found.append(tuple(getattr(detector, name) for name in seen))
    assert any(drift for *_, drift in found), "a shift must show"
    return found


def stored(value: Any) -> Any:
    return plain.unpack(plain.pack(value))


def until_drift(detector: Any) -> None:
    """Feed until the detector has just detected a shift."""
    for value in values(3, 4000):
        detector.update(value)
        if detector.drift_detected:
            return
    pytest.fail("no shift was detected")


def same_mean(one: Any, other: Any) -> bool:
    return bool((one._x_mean.n, one._x_mean.get()) == (other._x_mean.n, other._x_mean.get()))


@settings(max_examples=20)
@given(LENGTHS, st.integers(0, 99))
def test_an_adwin_goes_on_with_equal_results(length: int, seed: int) -> None:
    detector = adwin()
    for value in values(seed, length):
        detector.update(value)
    again = adwin_from(stored(adwin_plain(detector)))
    assert course(again, ADWIN_SEES, seed + 1) == course(detector, ADWIN_SEES, seed + 1)


def test_an_adwin_that_has_just_detected_a_shift_goes_on_with_equal_results() -> None:
    detector = adwin()
    until_drift(detector)
    again = adwin_from(stored(adwin_plain(detector)))
    assert again.drift_detected
    assert course(again, ADWIN_SEES, 5) == course(detector, ADWIN_SEES, 5)


@settings(max_examples=30)
@given(LENGTHS, st.integers(0, 99), SETTINGS)
def test_a_page_hinkley_goes_on_with_equal_results(length: int, seed: int, chosen: dict[str, Any]) -> None:
    detector = page_hinkley(**chosen)
    for value in values(seed, length):
        detector.update(value)
    again = page_hinkley_from(stored(page_hinkley_plain(detector)))
    results = [[], []]  # type: list[list[Any]]
    for value in [*values(seed + 1, 1000), *values(seed + 2, 1000)]:
        for one, found in zip((detector, again), results, strict=True):
            one.update(value)
            found.append(tuple(getattr(one, name) for name in PAGE_HINKLEY_SEES))
    assert results[0] == results[1]
    assert same_mean(again, detector)


@pytest.mark.parametrize("mode", ["both", "down"])
def test_a_page_hinkley_that_has_just_detected_a_shift_goes_on_with_equal_results(mode: str) -> None:
    """In river's words a rise is found by the mode `down` too, where its sum falls again."""
    detector = page_hinkley(min_instances=100, threshold=20.0, mode=mode)
    until_drift(detector)
    again = page_hinkley_from(stored(page_hinkley_plain(detector)))
    assert again.drift_detected
    assert course(again, PAGE_HINKLEY_SEES, 5) == course(detector, PAGE_HINKLEY_SEES, 5)
    assert same_mean(again, detector)


def test_detectors_made_from_the_same_state_share_nothing() -> None:
    detector = adwin()
    for value in values(1, 500):
        detector.update(value)
    kept = stored(adwin_plain(detector))
    first, second = adwin_from(kept), adwin_from(kept)
    assert course(first, ADWIN_SEES, 2) == course(second, ADWIN_SEES, 2)


def test_to_take_a_detector_apart_changes_nothing() -> None:
    asked, untouched = adwin(), adwin()
    for value in values(1, 1500):
        asked.update(value)
        adwin_plain(asked)
        untouched.update(value)
    assert course(asked, ADWIN_SEES, 2) == course(untouched, ADWIN_SEES, 2)
