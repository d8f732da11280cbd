"""Old pickles are read as `pickle` reads them, but what they would call is refused, and damage is a sentence."""

from __future__ import annotations

import builtins
import copyreg
import os
import pickle
import subprocess
from collections.abc import Callable
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Any
from warnings import catch_warnings

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from river.drift import ADWIN, PageHinkley

from flows.runtime.old_pickles import read_old
from models.state import StateError

SCALARS = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(st.characters(exclude_categories=["Cs"]))
    | st.binary()
    | st.datetimes(timezones=st.just(UTC))
)
NESTS = st.recursive(
    SCALARS,
    lambda part: (
        st.lists(part) | st.lists(part).map(tuple) | st.dictionaries(SCALARS | st.tuples(SCALARS), part, max_size=5)
    ),
    max_leaves=20,
)
PROTOCOLS = pytest.mark.parametrize("protocol", [4, 5])
ARRAYS: dict[str, Callable[[NDArray[Any]], NDArray[Any]]] = {
    "0-d": lambda numbers: numbers[5:6].reshape(()),
    "empty": lambda numbers: numbers[:0].reshape(0, 3),
    "1-d": lambda numbers: numbers,
    "2-d": lambda numbers: numbers.reshape(6, 4),
    "Fortran order": lambda numbers: np.asfortranarray(numbers.reshape(6, 4)),
    "columns": lambda numbers: numbers.reshape(6, 4)[:, 1:3],
}


class Calls:
    """Unpickled, calls a function."""

    def __init__(self, function: Any, *arguments: Any) -> None:
        self.function, self.arguments = function, arguments

    def __reduce__(self) -> Any:
        return self.function, self.arguments


def filled_in(argument: Any, path: str) -> Any:
    """With the path for braces."""
    if isinstance(argument, list):
        return [filled_in(part, path) for part in argument]
    return argument.format(path) if isinstance(argument, str) else argument


def assert_a_value_or_refused(data: bytes) -> None:
    sentence = ""
    try:
        with catch_warnings(action="ignore"):  # numpy warns of some types that are refused then
            read_old(data)
    except Exception as error:  # noqa: BLE001 - the type is what is tested
        assert isinstance(error, StateError), f"{data[:300]!r}: {error!r}"  # noqa: PT017
        sentence = str(error)
    assert "\n" not in sentence


def state() -> bytes:
    """Like one of the drift step: a bit of everything."""
    shared = np.arange(3)
    content = {
        "version": 2,
        ("a", None): [1.5, {3, 1}, True, -7, 70_000, 2**40],
        "columns": (shared, shared, np.ones((2, 2), order="F"), np.float64(2.5)),
        "at": datetime(2026, 1, 2, 3, 4, 5, 6, tzinfo=UTC),
        "windows": [ADWIN(), PageHinkley()],
        "cells": b"bytes" * 3,
    }
    return pickle.dumps(content, 4)


@PROTOCOLS
@given(value=NESTS)
def test_a_nest_of_plain_values_is_what_pickle_loads(protocol: int, value: Any) -> None:
    data = pickle.dumps(value, protocol)
    assert repr(read_old(data)) == repr(pickle.loads(data))


@PROTOCOLS
@given(numbers=st.sets(st.integers()), pairs=st.sets(st.tuples(st.text(max_size=3), st.integers())))
def test_a_set_is_a_sorted_list(protocol: int, numbers: set[int], pairs: set[tuple[str, int]]) -> None:
    read = read_old(pickle.dumps({"of": [numbers, (pairs,)]}, protocol))
    assert read == {"of": [sorted(numbers), (sorted(pairs),)]}


@PROTOCOLS
@pytest.mark.parametrize("layout", list(ARRAYS))
@pytest.mark.parametrize("name", ["b1", "i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8", "f2", "f4", "f8"])
def test_an_array_is_what_pickle_loads(name: str, layout: str, protocol: int) -> None:
    array = ARRAYS[layout]((np.arange(24) - 3).astype(name))
    for one in (array, array.copy(order="K")):
        first, second = read_old(pickle.dumps([one, {"again": one}], protocol))
        for back in (first, second["again"]):
            np.testing.assert_array_equal(back, one)
            assert (back.dtype, back.shape) == (one.dtype, one.shape)
            assert back.flags.f_contiguous or not one.flags.f_contiguous
            assert back.flags.writeable


@PROTOCOLS
@pytest.mark.parametrize("name", ["b1", "i1", "i4", "i8", "u8", "f4", "f8"])
def test_a_numpy_scalar_is_a_number(name: str, protocol: int) -> None:
    scalar = np.full(1, 1, name)[0]
    assert repr(read_old(pickle.dumps((scalar, scalar), protocol))) == repr((scalar.item(), scalar.item()))


@PROTOCOLS
def test_moments_of_other_zones_are_what_pickle_loads(protocol: int) -> None:
    moment = datetime(1969, 12, 31, 23, 59, 59, 999_999, tzinfo=timezone(timedelta(hours=-3, minutes=30)))
    assert read_old(pickle.dumps([moment, timedelta(days=-1, microseconds=3)], protocol)) == [
        moment,
        timedelta(days=-1, microseconds=3),
    ]


@PROTOCOLS
def test_an_object_of_river_is_a_mapping(protocol: int) -> None:
    adwin, page_hinkley = read_old(pickle.dumps((ADWIN(), PageHinkley(threshold=7.0)), protocol))
    assert adwin["state"]["_helper"]["class"].startswith("river.")
    assert adwin["state"]["_helper"]["args"] == ADWIN()._helper.__getnewargs__()
    assert page_hinkley["state"]["threshold"] == 7.0
    assert page_hinkley["state"]["_x_mean"]["state"]["n"] == 0


@pytest.mark.parametrize("protocol", [0, 3, 4, 5])
@pytest.mark.parametrize(
    ("function", "arguments"),
    [
        (os.system, ("touch {}",)),
        (os.mkdir, ("{}",)),
        (builtins.eval, ("open({!r}, 'w')",)),
        (builtins.exec, ("open({!r}, 'w')",)),
        (builtins.open, ("{}", "w")),
        (subprocess.Popen, (["touch", "{}"],)),
        (subprocess.call, (["touch", "{}"],)),
        (np.save, ("{}", [1])),
        (np.load, ("{}",)),
        (getattr(copyreg, "_reconstructor"), (object, object, None)),  # noqa: B009 - not in its stubs
        (copyreg.add_extension, ("a", "b", 240)),
        (Path, ("{}",)),
        (getattr(builtins, "__import__"), ("{}",)),  # noqa: B009 - as a value
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_a_call_is_refused_by_name_and_not_made(function: Any, arguments: Any, protocol: int, tmp_path: Path) -> None:
    made = str(tmp_path / "made")
    filled = [filled_in(one, made) for one in arguments]
    data = pickle.dumps({"version": 2, "cells": [Calls(function, *filled)]}, protocol)
    with pytest.raises(StateError) as refused:
        read_old(data)
    if protocol:  # before, there are instructions that no state has
        assert f"it wants to call {function.__module__}.{function.__qualname__}" in str(refused.value)
    assert list(tmp_path.iterdir()) == []


def test_a_call_that_is_refused_here_is_made_by_pickle(tmp_path: Path) -> None:
    """Else the test above shows nothing."""
    pickle.loads(pickle.dumps(Calls(os.mkdir, str(tmp_path / "made")), 4))
    assert (tmp_path / "made").exists()


def test_a_call_in_the_name_of_river_is_not_made(tmp_path: Path) -> None:
    data = (
        b"criver.base\nos.mkdir\n\x8c"
        + bytes([len(str(tmp_path / "made"))])
        + str(tmp_path / "made").encode()
        + b"\x85R."
    )
    assert read_old(data)["class"] == "river.base.os.mkdir"
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("value", [os.system, Path, [dict], {"a": (np.load,)}], ids=range(4))
def test_a_name_that_is_not_called_is_refused(value: Any) -> None:
    """It is no plain value."""
    with pytest.raises(StateError):
        read_old(pickle.dumps(value, 4))


@pytest.mark.parametrize("value", [1j, frozenset({1}), np.array(["text"]), np.array([None]), np.array([1j])], ids=repr)
def test_a_value_that_no_state_had_is_refused(value: Any) -> None:
    with pytest.raises(StateError):
        read_old(pickle.dumps([value], 4))


def test_a_pickle_that_is_cut_off_is_refused() -> None:
    data = state()
    for end in range(len(data)):
        with pytest.raises(StateError):
            read_old(data[:end])


def test_a_flipped_bit_gives_a_value_or_is_refused() -> None:
    data = state()
    for bit in range(8 * len(data)):
        flipped = bytearray(data)
        flipped[bit // 8] ^= 1 << bit % 8
        assert_a_value_or_refused(bytes(flipped))


@given(st.binary() | st.binary().map(lambda rest: b"\x80\x04" + rest))
def test_random_bytes_give_a_value_or_are_refused(data: bytes) -> None:
    assert_a_value_or_refused(data)


def test_a_list_that_holds_itself_is_refused() -> None:
    loop: list[Any] = []
    loop.append(loop)
    assert_a_value_or_refused(pickle.dumps(loop, 4))


def test_lists_in_lists_without_end_are_refused() -> None:
    assert_a_value_or_refused(b"]" * 100_000 + b"a" * 99_999 + b".")


@pytest.mark.parametrize("dtype", ["(,)i4", "08i4"])
def test_a_type_that_numpy_cannot_parse_is_refused(dtype: str) -> None:
    """For these numpy raises a SyntaxError."""
    assert_a_value_or_refused(pickle.dumps(Calls(np.dtype, dtype), 4))
