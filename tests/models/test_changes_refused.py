"""Changes that are made up or damaged are refused."""

from __future__ import annotations

from contextlib import suppress
from random import Random
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models import plain
from models.changes import Tracker, merged
from suites.changes import put_back

U1, F8, I4 = np.zeros(1, np.uint8), np.zeros(1), np.zeros(1, np.int32)
NONE, NO_F8 = np.zeros(0, np.uint8), np.zeros(0)
MADE_UP: list[tuple[str, Any, Any]] = [
    ("a dictionary's change of an array", np.zeros(9), (1, (), {})),
    ("an array's change of a dictionary", {}, (3, 0, 0, NONE, NO_F8, NO_F8)),
    ("a change of a part of a number", 7, (2, 0, {}, ())),
    ("a change of a part of a text", "text", (2, 0, {}, ())),
    ("another kind", [], (9, 0, {}, ())),
    ("no kind", [], ("kind",)),
    ("no change", [], None),
    ("a text", [], "text"),
    ("an array", [], np.zeros(3)),
    ("too long", [], (0, 1, 2)),
    ("too short", {}, (1, ())),
    ("a key that is not there is removed", {"a": 1}, (1, ("b",), {})),
    ("a part of a key that is not there", {"a": 1}, (1, (), {"b": (1, (), {})})),
    ("removed keys that are none", {"a": 1}, (1, 7, {})),
    ("parts that are none", {"a": 1}, (1, (), ())),
    ("a part that is no change", {"a": 1}, (1, (), {"a": 7})),
    ("more parts kept than there are", [1], (2, 2, {}, ())),
    ("less than no parts kept", [1], (2, -1, {}, ())),
    ("a part after those kept", [1, 2], (2, 1, {1: (0, 1)}, ())),
    ("a part before the first", [1, 2], (2, 2, {-1: (0, 1)}, ())),
    ("a part with a name", [1, 2], (2, 2, {"a": (0, 1)}, ())),
    ("appended parts that are none", [1, 2], (2, 2, {}, "ab")),
    ("no such axis", np.zeros(9), (3, 1, 9, U1, F8, NO_F8)),
    ("an axis from the end", np.zeros(9), (3, -1, 9, U1, F8, NO_F8)),
    ("more kept than there is", np.zeros(9), (3, 0, 10, U1, F8, NO_F8)),
    ("less than nothing kept", np.zeros(9), (3, 0, -1, U1, F8, NO_F8)),
    ("a length without numbers", np.zeros(9), (3, 0, 2**60, U1, F8, NO_F8)),
    ("an index out of range", np.zeros(9), (3, 0, 9, U1 + 9, F8, NO_F8)),
    ("a signed index", np.zeros(9), (3, 0, 9, U1.astype(np.int8), F8, NO_F8)),
    ("an index of floats", np.zeros(9), (3, 0, 9, F8, F8, NO_F8)),
    ("a mask", np.zeros(9), (3, 0, 9, U1.astype(bool), F8, NO_F8)),
    ("too few numbers", np.zeros(9), (3, 0, 9, np.arange(2, dtype=np.uint8), F8, NO_F8)),
    ("numbers of another type", np.zeros(9), (3, 0, 9, U1, I4, NO_F8)),
    ("appended numbers of another type", np.zeros(9), (3, 0, 9, U1, F8, I4)),
    ("numbers of another shape", np.zeros((9, 2)), (3, 0, 9, U1, F8, np.zeros((0, 2)))),
    ("numbers that would be spread", np.zeros((9, 2)), (3, 0, 9, U1, np.zeros((1, 1)), np.zeros((0, 2)))),
    ("appended numbers of another shape", np.zeros((9, 2)), (3, 0, 9, U1, np.zeros((1, 2)), np.zeros((1, 3)))),
    ("one number appended", np.zeros(9), (3, 0, 9, U1, F8, np.zeros(()))),
    ("an array without axes", np.zeros(()), (3, 0, 0, NONE, NO_F8, NO_F8)),
    ("a list for an array", np.zeros(9), (3, 0, 9, (0,), (1.0,), ())),
]


@pytest.mark.parametrize(("state", "change"), [case[1:] for case in MADE_UP], ids=[case[0] for case in MADE_UP])
def test_a_made_up_change_is_refused(state: Any, change: Any) -> None:
    """By an error that `models.state.reading` makes a sentence of; also deep inside."""
    with pytest.raises((ValueError, TypeError, LookupError)):
        put_back(plain.pack(state), [plain.pack(change)])
    with pytest.raises((ValueError, TypeError, LookupError)):
        put_back(plain.pack({"key": [state]}), [plain.pack((1, (), {"key": (2, 1, {0: change}, ())}))])


@given(st.randoms(use_true_random=True))
@settings(max_examples=300)
def test_a_damaged_change_gives_a_value_or_is_refused(random: Random) -> None:
    state: dict[str, Any] = {
        "rows": np.zeros((3, 200), np.int32),
        "names": [*range(300)],
        "tasks": {"a": 1, "b": np.zeros(99)},
    }
    stored, tracker = plain.pack(state), Tracker(state)
    state["rows"] = np.ones((3, 300), np.int32)
    state["rows"][:, :199] = 0
    state["names"] = [*range(299), 5, 6]
    state["tasks"] = {"b": np.zeros(100), "c": 1}
    change = bytearray(plain.pack(tracker.changes(state)))
    for _ in range(random.randrange(1, 4)):
        change[random.randrange(random.choice((60, len(change))))] = random.randrange(256)
    try:
        made_up = plain.unpack(bytes(change))
    except ValueError:
        return
    with suppress(ValueError, TypeError, LookupError):
        merged(plain.unpack(stored), [made_up, made_up])


def test_values_that_are_nested_too_deep_are_a_value_error() -> None:
    deep = plain.unpack(b"\x81\x00" * 1000 + b"\x01")
    with pytest.raises(ValueError, match="too deep"):
        Tracker(deep)
    change: Any = (0, 1)
    for _ in range(900):
        change = (1, (), {0: change})
    with pytest.raises(ValueError, match="too deep"):
        merged(deep, [change])
