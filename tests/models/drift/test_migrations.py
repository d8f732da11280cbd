"""Detectors of a drift state of version 2, in which river's objects were pickles, go on as the originals."""

from __future__ import annotations

import pickle
from importlib.metadata import version
from typing import Any

import pytest
from river.drift import ADWIN, PageHinkley

from flows.runtime.old_pickles import read_old
from models import plain
from models.drift.migrations import to_3
from models.drift.river_codecs import adwin_from, adwin_plain, page_hinkley_from, page_hinkley_plain

ADWIN_SEES = ("estimation", "width", "total", "variance", "drift_detected")
PAGE_HINKLEY_SEES = ("_sum_increase", "_sum_decrease", "_min_increase", "_max_decrease", "drift_detected")
LENGTHS = (0, 1, 40, 700, 1300)
"""The shift comes after 600 values."""


def values(length: int) -> list[float]:
    return [((at * 7919) % 101) / 101 + (2.0 if at > 600 else 0.0) for at in range(length)]


def fed(detector: Any, length: int) -> Any:
    for value in values(length):
        detector.update(value)
    return detector


def course(detector: Any, seen: tuple[str, ...]) -> list[tuple[Any, ...]]:
    """What the detector holds before and after each of 2,000 more values."""
    found = [tuple(getattr(detector, name) for name in seen)]
    for value in values(2000):
        detector.update(value)
        found.append(tuple(getattr(detector, name) for name in seen))
    return found


def adwins() -> dict[str, Any]:
    """By group; one group is not busy, and one detector has just detected a shift."""
    just = ADWIN()
    while not just.drift_detected:
        just.update(float(just.width > 400))
    return {f"after {length}": fed(ADWIN(), length) for length in LENGTHS} | {"just": just, "quiet": None}


def page_hinkleys() -> dict[str, Any]:
    """By key, with the settings of aftercall, those of river, and one-sided ones."""
    ours: dict[str, Any] = {"delta": 0.1, "threshold": 60.0, "alpha": 1.0, "min_instances": 1000}
    made: dict[str, Any] = {f"after {length}": fed(PageHinkley(**ours), length) for length in LENGTHS}
    just = PageHinkley(min_instances=100)
    for value in values(2000):
        just.update(value)
        if just.drift_detected:
            break
    others = {mode: fed(PageHinkley(mode=mode), 500) for mode in ("up", "down", "both")}
    return made | others | {"just": just, "learning": None}


def migrated(windows: dict[str, Any], watches: dict[str, Any], protocol: int) -> dict[str, Any]:
    """The state as it was stored, read, migrated, and stored once more."""
    groups = {(name, None, None): (20_139, 12, window) for name, window in windows.items()}
    series = [
        ((name, "tokens"), (9, 0.5, 2.0, 1.5, one, (0.1, 1, 2.0, 3), (0, 0, 0, 0))) for name, one in watches.items()
    ]
    state = {
        "rates": {"book": 1},
        "opinion": {
            "river": version("river"),
            "windows": read_old(pickle.dumps(list(groups.items()), protocol)),
        },
        "numeric": {"river": version("river"), "series": read_old(pickle.dumps(series, protocol)), "book": (2,)},
    }
    migrated_state: dict[str, Any] = plain.unpack(plain.pack(to_3(state)))
    return migrated_state


@pytest.mark.parametrize("protocol", [4, 5])
def test_each_adwin_goes_on_as_the_original(protocol: int) -> None:
    originals = adwins()
    state = migrated(originals, {}, protocol)["opinion"]
    assert [group for group, _ in state["windows"]] == [(name, None, None) for name in originals]
    for (name, original), (_, (day, count, kept)) in zip(originals.items(), state["windows"], strict=True):
        assert (day, count) == (20_139, 12)
        if original is None:
            assert kept is None
        else:
            assert kept == plain.unpack(plain.pack(adwin_plain(original))), name
            assert course(adwin_from(kept), ADWIN_SEES) == course(original, ADWIN_SEES), name


@pytest.mark.parametrize("protocol", [4, 5])
def test_each_page_hinkley_goes_on_as_the_original(protocol: int) -> None:
    originals = page_hinkleys()
    state = migrated({}, originals, protocol)["numeric"]
    assert [key for key, _ in state["series"]] == [(name, "tokens") for name in originals]
    for (name, original), (_, watch) in zip(originals.items(), state["series"], strict=True):
        assert (watch[:4], watch[5:]) == ((9, 0.5, 2.0, 1.5), ((0.1, 1, 2.0, 3), (0, 0, 0, 0)))
        if original is None:
            assert watch[4] is None
        else:
            assert watch[4] == page_hinkley_plain(original), name
            assert course(page_hinkley_from(watch[4]), PAGE_HINKLEY_SEES) == course(original, PAGE_HINKLEY_SEES), name


def test_everything_else_in_the_state_stays() -> None:
    state = migrated(adwins(), page_hinkleys(), 4)
    assert (state["rates"], state["numeric"]["book"]) == ({"book": 1}, (2,))
    assert state["opinion"]["river"] == state["numeric"]["river"] == version("river")
