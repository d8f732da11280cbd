"""Changes put a state back byte for byte, are small where little changed, and are refused where they are made up."""

from __future__ import annotations

import itertools
import math
import struct
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
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
from flows.dataflow.snapshot_messages import CellChanges
from flows.settings.for_models import alert_settings, drift_settings, routing_settings
from models import changes, plain
from models.alerts import Alerting
from models.changes import Tracker, merged
from models.drift import Drift
from models.groups import Caps, Groups
from models.rates import RateCells
from models.routing import Routing
from suites.steps import SETTINGS, stream
from suites.traffic import FIRST_GROUPS

NAN, OTHER_NAN = math.nan, struct.unpack("<d", struct.pack("<Q", 0xFFF8_0000_0000_0001))[0]
SCALARS = (None, True, 1, 1.0, False, 0, 0.0, -0.0, 2, NAN, OTHER_NAN, "", "a", b"a", "long " * 20)
MOMENT = datetime(2026, 3, 2, tzinfo=UTC)
KEYS = (None, True, 1, 1.0, 0.0, -0.0, 2, "a", "b", b"a", MOMENT, ("a", 1), ("a", True), NAN, (NAN,), "c", "d", "e")
DTYPES = ("b1", "i1", "u2", "i4", "f4", "f8", ">f8", "u8")


def put_back(stored: bytes, changed: Iterable[bytes]) -> Any:
    return merged(plain.unpack(stored), [plain.unpack(change) for change in changed])


def change_between(before: Any, after: Any) -> Any:
    """The change, once it is known that it puts `after` back."""
    change = Tracker(before).changes(after)
    assert plain.pack(put_back(plain.pack(before), [plain.pack(change)])) == plain.pack(after)
    return change


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


def large() -> dict[str, Any]:
    """Of two megabytes."""
    return {
        "rows": np.zeros((4, 20_000), np.int32),
        "groups": np.zeros((5000, 20), order="F"),
        "sums": np.arange(100_000),
        "foreign": np.arange(50, dtype=">i8"),
        "names": [(f"task-{number}", "model", number) for number in range(5000)],
        "codes": {f"task-{number}": number for number in range(5000)},
        "hours": [(number, np.full(50, number)) for number in range(100)],
        "tasks": {f"task-{number}": {"counts": np.zeros(50), "seen": number} for number in range(50)},
    }


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


MODELS: dict[str, tuple[Callable[[], Any], Callable[[Any, Any], object]]] = {
    "groups": (
        lambda: Groups(len(SHARDS), Caps(FIRST_GROUPS, FIRST_GROUPS)),
        lambda groups, changed: groups.process(changed),
    ),
    "rates": (
        RateCells,
        lambda rates, news: rates.apply(*news) if isinstance(news, CellChanges) else rates.advance(*news[:2]),
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
    model, messages = make(), stream(tuple(part / 24 for part in range(24))).into(name)
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
