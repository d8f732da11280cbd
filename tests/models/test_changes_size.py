"""Changes are small where little changed, and cost what they hold."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from models import changes, plain
from models.changes import Tracker, merged
from suites.changes import change_between, large, put_back


def no_edit(state: Any) -> None:
    pass


def one_number(state: Any) -> None:
    state["sums"][77_777] = -1


def one_group(state: Any) -> None:
    state["groups"][4321] = 1.5


def one_column(state: Any) -> None:
    state["rows"][:, 15_000] = 7


def one_number_deep_inside(state: Any) -> None:
    state["tasks"]["task-7"]["counts"][3] = 1


def more_rows(state: Any) -> None:
    state["rows"] = np.concatenate((state["rows"], np.ones((4, 2), np.int32)), axis=1)


def fewer_numbers(state: Any) -> None:
    state["sums"] = state["sums"][:60_000]


def more_names(state: Any) -> None:
    state["names"].append(("new", "model", 1))


def one_name(state: Any) -> None:
    state["names"][4000] = ("other", "model", 1)


def one_hour_more(state: Any) -> None:
    state["hours"].append((100, np.zeros(3)))


def fewer_names(state: Any) -> None:
    del state["names"][3000:]


def one_code(state: Any) -> None:
    state["codes"]["task-99"] = "other"


def a_code_less_and_one_more(state: Any) -> None:
    state["codes"]["new"] = state["codes"].pop("task-99")


def a_task_more(state: Any) -> None:
    state["tasks"]["new"] = {"counts": np.zeros(3), "seen": 1}


@pytest.mark.parametrize(
    ("edit", "most"),
    [
        (no_edit, 1),
        (one_number, 80),
        (one_group, 250),
        (one_column, 100),
        (one_number_deep_inside, 100),
        (more_rows, 100),
        (fewer_numbers, 70),
        (more_names, 40),
        (one_name, 40),
        (fewer_names, 20),
        (one_hour_more, 60),
        (one_code, 30),
        (a_code_less_and_one_more, 30),
        (a_task_more, 80),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_where_little_changes_few_bytes_are_stored(edit: Callable[[Any], None], most: int) -> None:
    """Also after a resume, where lists have become tuples."""
    state = large()
    trackers = [Tracker(state), Tracker(plain.unpack(plain.pack(state)))]
    stored = plain.pack(state)
    edit(state)
    for tracker in trackers:
        change = plain.pack(tracker.changes(state))
        assert len(change) <= most
        assert plain.pack(put_back(stored, [change])) == plain.pack(state)
        assert tracker.changes(state) == ()


def test_a_large_array_that_comes_later_changes_in_part_too() -> None:
    state = {"small": {"names": ["a", "b"]}, "sums": np.zeros(99)}
    tracker = Tracker(state)
    state["small"]["sums"] = np.zeros(5000)  # type: ignore[index]
    tracker.changes(state)
    state["small"]["sums"][7] = 1  # type: ignore[index]
    assert len(plain.pack(tracker.changes(state))) < 100


def test_where_everything_changes_hardly_more_than_the_state_is_stored() -> None:
    before = {"flat": [*range(4000)], "deep": [[(n, n)] * 20 for n in range(100)], "sums": np.zeros(2000)}
    after = {"flat": [*range(1, 4001)], "deep": [[(n, -n)] * 20 for n in range(100)], "sums": np.ones(2000)}
    assert len(plain.pack(change_between(before, after))) < 1.05 * len(plain.pack(after))


def test_many_changes_of_a_large_state_cost_what_they_hold() -> None:
    """3,000 times a copy of 8 MB would take over 10 seconds."""
    numbers, rows, names = np.zeros(500_000), np.zeros((4, 250_000), np.int32), [(n, "name") for n in range(20_000)]
    state = plain.unpack(plain.pack({"sums": numbers, "rows": rows, "names": names}))
    index, no_slices = np.zeros(1, np.uint8), np.zeros((0, 4), np.int32)
    column = (changes._ARRAY, 1, 250_000, np.zeros(0, np.uint8), no_slices, no_slices)
    many = [
        (
            changes._DICT,
            (),
            {
                "sums": (changes._ARRAY, 0, 500_000, index, np.full(1, float(number)), np.zeros(0)),
                "rows": (*column[:2], 250_000 + number, *column[3:5], np.ones((1, 4), np.int32)),
                "names": (changes._SEQUENCE, 20_000 + number, {number: (changes._WHOLE, ())}, ((number,),)),
            },
        )
        for number in range(3000)
    ]
    began = time.process_time()
    state = merged(state, many)
    assert time.process_time() - began < 3
    assert state["sums"][0] == 2999
    assert state["rows"].shape == (4, 253_000)
    assert state["rows"].sum() == 12_000
    assert len(state["names"]) == 23_000
