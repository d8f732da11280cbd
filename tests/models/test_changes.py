"""Changes put a state back byte for byte."""

from __future__ import annotations

import itertools
import math
import struct
from collections.abc import Callable
from copy import deepcopy
from datetime import UTC, datetime
from random import Random
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from flows.dataflow.shards import SHARDS
from flows.dataflow.snapshot_messages import CellChanges, OpinionChanges
from flows.settings.for_models import alert_settings, drift_settings, routing_settings
from models import changes, plain
from models.alerts import Alerting
from models.changes import Tracker
from models.drift import Drift
from models.groups import Caps, Groups
from models.rates import RateCells
from models.routing import Routing
from suites.changes import change_between, large, put_back
from suites.steps import SETTINGS, stream
from suites.traffic import FIRST_GROUPS

NAN, OTHER_NAN = math.nan, struct.unpack("<d", struct.pack("<Q", 0xFFF8_0000_0000_0001))[0]
SCALARS = (None, True, 1, 1.0, False, 0, 0.0, -0.0, 2, NAN, OTHER_NAN, "", "a", b"a", "long " * 20)
MOMENT = datetime(2026, 3, 2, tzinfo=UTC)
KEYS = (None, True, 1, 1.0, 0.0, -0.0, 2, "a", "b", b"a", MOMENT, ("a", 1), ("a", True), NAN, (NAN,), "c", "d", "e")
DTYPES = ("b1", "i1", "u2", "i4", "f4", "f8", ">f8", "u8")


class Draws:
    """States, and edits of them in place, as the owner of a state makes them."""

    def __init__(self, random: Random) -> None:
        self._random = random

    def state(self, depth: int) -> Any:
        shape = self._random.randrange(4 if depth else 1)
        if shape == 1:
            return {self.choice(KEYS): self.state(depth - 1) for _ in range(self.count())}
        if shape == 2:
            parts = [self.state(depth - 1) for _ in range(self.count())]
            return parts if self._random.random() < 0.7 else tuple(parts)
        return self.array() if shape == 3 else self.choice(SCALARS)

    def array(self) -> NDArray[Any]:
        shape = [self._random.choice((0, 1, 2, 3, 7)) for _ in range(self._random.randrange(4))]
        dtype = np.dtype(self.choice(DTYPES))
        raw = np.frombuffer(self._random.randbytes(math.prod(shape) * dtype.itemsize), np.uint8)
        numbers = (raw % 2 if dtype.kind == "b" else raw).view(dtype)
        return self.laid_out(numbers.reshape(shape))

    def laid_out(self, array: NDArray[Any]) -> NDArray[Any]:
        layout = self._random.randrange(4)
        if layout == 1 and array.ndim:
            return array.repeat(2, axis=-1)[..., ::2]
        return array.copy(order="F" if layout == 2 else "C")

    def edited(self, value: Any, depth: int = 3) -> Any:
        """The value, changed in place where that is possible."""
        if self._random.random() < 0.1:
            return self.state(depth)
        if isinstance(value, dict):
            return self._edited_dict(value, depth)
        if isinstance(value, list):
            return self._edited_list(value, depth)
        if isinstance(value, tuple):
            edited = tuple(self._edited_list([*value], depth))
            return [*edited] if self._random.random() < 0.2 else edited
        return self._edited_array(value) if isinstance(value, np.ndarray) else self.choice((value, *SCALARS))

    def _edited_dict(self, value: dict[Any, Any], depth: int) -> dict[Any, Any]:
        for _ in range(self._random.randrange(3)):
            key = self.choice([*KEYS, *value, *value])
            if key in value and self._random.random() < 0.4:
                moved = value.pop(key)
                if self._random.random() < 0.5:
                    value[key] = moved  # which is the last one now
            elif key in value:
                value[key] = self.edited(value[key], depth - 1)
            else:
                value[key] = self.state(max(depth - 1, 0))
        return value

    def _edited_list(self, value: list[Any], depth: int) -> list[Any]:
        for _ in range(self._random.randrange(3)):
            at = self._random.randrange(len(value) + 1)
            edit = self._random.randrange(4)
            if edit == 0:
                del value[at : at + self.count()]
            elif edit == 1 or at == len(value):
                value += [self.state(max(depth - 1, 0)) for _ in range(self.count())]
            elif edit == 2:
                value.insert(at, self.state(0))
            else:
                value[at] = self.edited(value[at], depth - 1)
        return value

    def _edited_array(self, value: NDArray[Any]) -> NDArray[Any]:
        edit = self._random.randrange(6)
        if edit == 0 or not value.ndim:
            return self.array()
        axis = self._random.randrange(value.ndim)
        if edit == 1:
            return self.laid_out(value)
        if edit == 2:
            return np.concatenate((value, value.take(range(min(2, value.shape[axis])), axis)), axis)
        if edit == 3:
            return value.take(range(self._random.randrange(value.shape[axis] + 1)), axis)
        for _ in range(self._random.randrange(3) if value.size else 0):
            value[tuple(self._random.randrange(size) for size in value.shape)] = self.choice((0, 1))
        return value

    def count(self) -> int:
        return self._random.choice((0, 1, 2, 3, 12))

    def choice(self, of: Any) -> Any:
        return self._random.choice(of)


@pytest.mark.parametrize("small", [0, 32, 256])
@given(st.randoms(use_true_random=True))
@settings(max_examples=300)
def test_a_state_is_put_back_byte_for_byte_from_an_earlier_one_and_all_changes(small: int, random: Random) -> None:
    """Its owner goes on editing it in place; the tracker resumes now and then. Sizes are low, for changes in depth."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(changes, "_SMALL_BYTES", small)
        patch.setattr(changes, "_PART_BYTES", random.choice((0, 20)))
        patch.setattr(changes, "_BLOCK", 2)
        draws = Draws(random)
        state = draws.state(3)
        tracker, first, changed = Tracker(), plain.pack(state), list[bytes]()
        assert tracker.changes(state) is None
        for _ in range(random.randrange(5)):
            if random.random() < 0.3 and state is not None:
                tracker = Tracker(put_back(first, changed))
            state = draws.edited(state)
            changed.append(plain.pack(tracker.changes(state)))
            assert plain.pack(put_back(first, changed)) == plain.pack(state)


SAME_IN_PYTHON = [
    (1, True),
    (1, 1.0),
    (0.0, -0.0),
    (NAN, OTHER_NAN),
    ("a", b"a"),
    ({"a": 1, "b": 2}, {"b": 2, "a": 1}),
    ({1: "one"}, {True: "one"}),
    ({"a": {1.0: 2}}, {"a": {1: 2}}),
    ({(NAN,): 1, 2: 3}, {(NAN,): 2, 2: 3}),
    ({NAN: 1}, {}),
    ({}, {NAN: 1, OTHER_NAN: 2}),
]
ARRAYS = [
    (np.zeros(99), np.full(99, -0.0)),
    (np.full(99, NAN), np.full(99, OTHER_NAN)),
    (np.zeros(99, "i4"), np.zeros(99, "u4")),
    (np.zeros((9, 11)), np.zeros((11, 9))),
    (np.zeros(99), np.zeros((99, 1))),
    (np.zeros((9, 11)), np.zeros((9, 11), order="F")),
    (np.zeros((9, 11), order="F"), np.zeros((10, 11), order="F")),
    (np.zeros((9, 11), order="F"), np.zeros((1, 11))),
    (np.zeros((99, 1)), np.zeros((99, 2), order="F")),
    (np.arange(99, dtype=">i8"), np.arange(99, dtype="<i8")),
    (np.zeros((20, 11), ">f8", order="F")[::2], np.zeros((10, 11))),
]


def alone(value: Any) -> Any:
    return value


def deep_inside(value: Any) -> Any:
    return {"key": [value, *range(300)]}


def among_others(value: Any) -> Any:
    return value | {f"key-{number}": number for number in range(99)} if isinstance(value, dict) else [value] * 99


@pytest.mark.parametrize("nested", [alone, deep_inside, among_others])
@pytest.mark.parametrize(("before", "after"), [*SAME_IN_PYTHON, *ARRAYS], ids=repr)
def test_values_that_python_or_numpy_takes_for_equal_are_put_back_as_they_were(
    before: Any, after: Any, nested: Callable[[Any], Any]
) -> None:
    for one, other in ((before, after), (after, before)):
        change_between(nested(one), nested(other))


def test_a_tracker_shares_no_memory_with_the_state() -> None:
    state = large()
    tracker, copy = Tracker(state), deepcopy(state)
    for array in (state["rows"], state["groups"], state["sums"], state["tasks"]["task-0"]["counts"]):
        array[...] = 7
    state["names"].clear()
    state["codes"].clear()
    assert tracker.changes(copy) == ()
    assert tracker.changes(state) != ()


def test_of_nothing_remembered_there_is_no_change() -> None:
    tracker = Tracker()
    assert tracker.changes({"a": 1}) is None
    assert tracker.changes({"a": 1}) == ()


def test_after_a_state_that_is_not_plain_nothing_is_remembered() -> None:
    """Half of it may have been."""
    tracker = Tracker({"sums": np.zeros(99), "a": 1})
    with pytest.raises(TypeError):
        tracker.changes({"sums": np.ones(99), "a": {1}})
    assert tracker.changes({"sums": np.ones(99), "a": 1}) is None


def test_changes_are_found_and_put_back_in_order() -> None:
    states: list[Any] = [{"a": [1, 2, 3]}, {"b": 1, "a": [1]}, {"b": 1}, {"b": 1, "a": [4, 5]}, {"a": [4, 5]}]
    tracker = Tracker(states[0])
    changed = [plain.pack(tracker.changes(state)) for state in states[1:]]
    assert put_back(plain.pack(states[0]), changed) == {"a": (4, 5)}
    assert put_back(plain.pack(states[0]), changed[:-1]) == {"b": 1, "a": (4, 5)}


def test_parts_that_change_and_then_go_are_gone() -> None:
    state: dict[str, Any] = {"sums": np.zeros(99), "hours": [np.zeros(99), np.zeros(99)], "names": [*range(999)]}
    tracker, first, changed = Tracker(state), plain.pack(state), list[bytes]()
    state["sums"][1] = state["hours"][1][1] = 1
    changed.append(plain.pack(tracker.changes(state)))
    del state["sums"], state["hours"][1]
    changed.append(plain.pack(tracker.changes(state)))
    assert plain.pack(put_back(first, changed)) == plain.pack(state)


def test_an_array_that_grew_is_no_part_of_a_larger_one() -> None:
    """Which would stay in memory."""
    before, after = np.zeros((4, 3000)), np.zeros((4, 3001))
    array = put_back(plain.pack(before), [plain.pack(change_between(before, after))])
    assert array.shape == (4, 3001)
    assert array.base is None


@pytest.mark.parametrize("order", ["C", "F"])
def test_an_array_that_grows_several_times_keeps_its_order_of_memory(order: Any) -> None:
    """Whether the room for it was filled or not."""
    for sizes in itertools.product(range(10, 24), repeat=2):
        tracker, before = Tracker(np.zeros((10, 9), order=order)), plain.pack(np.zeros((10, 9), order=order))
        arrays = [np.zeros((size, 9), order=order) for size in sizes]
        changed = [plain.pack(tracker.changes(array)) for array in arrays]
        assert plain.pack(put_back(before, changed)) == plain.pack(arrays[-1])


def _count(rates: RateCells, news: Any) -> None:
    """Take what is counted in groups; what sources say is counted beside it."""
    if isinstance(news, CellChanges):
        rates.apply(*news[:4])
    elif not isinstance(news, OpinionChanges):
        rates.advance(*news[:2])


MODELS: dict[str, tuple[Callable[[], Any], Callable[[Any, Any], object]]] = {
    "groups": (
        lambda: Groups(len(SHARDS), Caps(FIRST_GROUPS, FIRST_GROUPS, FIRST_GROUPS)),
        lambda groups, changed: groups.process(changed),
    ),
    "rates": (
        RateCells,
        _count,
    ),
    "drift": (lambda: Drift(drift_settings(SETTINGS)), lambda drift, closed: (drift.close(closed), drift.digests())),
    "alerting": (lambda: Alerting(alert_settings(SETTINGS)), lambda alerting, found: alerting.close(*found[:2])),
    "routing": (lambda: Routing(routing_settings(SETTINGS)), lambda routing, found: routing.close(*found[:2])),
}
"""By the name of their step: how they are made, and take a message."""


@pytest.mark.slow
@pytest.mark.parametrize("name", list(MODELS))
def test_the_states_of_a_model_are_put_back_byte_for_byte(name: str) -> None:
    """Looked at after each message of a stream; the tracker resumes now and then."""
    make, take = MODELS[name]
    # What routing keeps of each quarter of an hour changes within hours: a message of ten of them would leave little.
    parts = 96 if name == "routing" else 24
    model, messages = make(), stream(tuple(part / parts for part in range(parts))).into(name)
    tracker, first, changed, whole = Tracker(model.state()), plain.pack(model.state()), list[bytes](), 0
    for count, (_, message) in enumerate(messages, start=1):
        take(model, message)
        changed.append(plain.pack(tracker.changes(model.state())))
        state = plain.pack(model.state())
        whole += len(state)
        if count % 40 == 7 or count == len(messages):
            assert plain.pack(put_back(first, changed)) == state
            tracker = Tracker(put_back(first, changed))
    assert sum(map(len, changed)) < whole / 2
