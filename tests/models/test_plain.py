"""Plain values and arrays come back as they were, and bytes that are damaged or made up are a ValueError."""

from __future__ import annotations

import os
import pickle
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from warnings import catch_warnings

import msgpack
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from models.plain import ARRAY, pack, unpack

MOMENTS = st.datetimes(timezones=st.just(UTC)).map(lambda moment: moment.replace(fold=0))
SCALARS = (
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats()
    | st.text(st.characters(exclude_categories=["Cs"]))
    | st.binary()
    | MOMENTS
)
KEYS = SCALARS | st.recursive(SCALARS, lambda part: st.tuples(part, part), max_leaves=4)
NESTS = st.recursive(
    SCALARS,
    lambda part: st.lists(part) | st.lists(part).map(tuple) | st.dictionaries(KEYS, part, max_size=4),
    max_leaves=15,
)
SIZES = ("b1", "i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8", "f2", "f4", "f8")
DTYPES = [*map(np.dtype, SIZES), *(np.dtype(name).newbyteorder() for name in SIZES[2:])]
LAYOUTS: dict[str, Callable[[NDArray[Any]], NDArray[Any]]] = {
    "0-d": lambda numbers: numbers[5:6].reshape(()),
    "empty": lambda numbers: numbers[:0],
    "empty 2-d": lambda numbers: numbers[:0].reshape(0, 3),
    "1-d": lambda numbers: numbers,
    "2-d": lambda numbers: numbers.reshape(6, 4),
    "Fortran order": lambda numbers: np.asfortranarray(numbers.reshape(6, 4)),
    "Fortran order, 3-d": lambda numbers: np.asfortranarray(numbers.reshape(2, 3, 4)),
    "every second": lambda numbers: numbers[::2],
    "backwards": lambda numbers: numbers[::-1],
    "columns": lambda numbers: numbers.reshape(6, 4)[:, 1:3],
    "axes turned": lambda numbers: numbers.reshape(2, 3, 4).transpose(1, 2, 0),
}


def fixed(value: Any) -> Any:
    """With tuples for lists."""
    if isinstance(value, dict):
        return {key: fixed(part) for key, part in value.items()}
    return tuple(map(fixed, value)) if isinstance(value, list | tuple) else value


def stored_array(*head: Any, raw: bytes = bytes(8)) -> bytes:
    """Bytes that claim to be an array."""
    packed: bytes = msgpack.packb(msgpack.ExtType(ARRAY, msgpack.packb(head) + raw))
    return packed


def assert_a_value_or_refused(data: bytes) -> None:
    try:
        with catch_warnings(action="ignore"):  # numpy warns of some types that are refused then
            unpack(data)
    except Exception as error:  # noqa: BLE001 - the type is what is tested
        assert isinstance(error, ValueError), f"{data[:300]!r}: {error!r}"  # noqa: PT017


@given(NESTS)
def test_a_nest_of_plain_values_comes_back_with_tuples_for_lists(value: Any) -> None:
    """Compared as texts, which tell 1 from True and 0.0 from -0.0, and where nan equals nan."""
    assert repr(unpack(pack(value))) == repr(fixed(value))


@pytest.mark.parametrize("layout", list(LAYOUTS))
@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_an_array_comes_back_with_type_shape_and_order_and_can_be_written(dtype: np.dtype[Any], layout: str) -> None:
    array = LAYOUTS[layout]((np.arange(24) - 3).astype(dtype))
    back = unpack(pack({"within": [array]}))["within"][0]
    np.testing.assert_array_equal(back, array)
    assert (back.dtype, back.shape) == (array.dtype.newbyteorder("<"), array.shape)
    assert back.flags.c_contiguous or not array.flags.c_contiguous
    assert back.flags.f_contiguous or not array.flags.f_contiguous
    assert back.flags.writeable
    back[...] = 1


def test_two_readings_share_no_memory() -> None:
    data = pack(np.arange(3))
    unpack(data)[0] = 7
    assert unpack(data).tolist() == [0, 1, 2]


@pytest.mark.parametrize("name", ["b1", "i1", "i8", "u8", "f2", "f4", "f8"])
def test_a_numpy_scalar_becomes_a_number_of_python(name: str) -> None:
    scalar = np.ones(1, name)[0]
    assert repr(unpack(pack(scalar))) == repr(scalar.item())


@pytest.mark.parametrize(
    "value",
    [object(), {1}, frozenset(), 1j, np.complex128(1), np.array([object()]), np.array(["text"]), np.array([1j]),
     np.array([(1,)], "i4,"), np.array(["2026-01-01"], "M8[s]"), np.datetime64(1, "s"), Path(), pack, range(3)],
    ids=lambda value: type(value).__name__,
)  # fmt: skip
def test_a_value_that_is_not_plain_is_a_type_error(value: Any) -> None:
    for nest in (value, [value], {"key": (1, value)}):
        with pytest.raises(TypeError):
            pack(nest)


@pytest.mark.parametrize("value", [datetime(2026, 1, 1), 2**64, -(2**63) - 1], ids=repr)  # noqa: DTZ001 - what is refused
def test_a_moment_without_a_zone_and_an_int_of_more_than_64_bits_are_a_type_error(value: Any) -> None:
    """As the contract of `pack` has it."""
    with pytest.raises(TypeError):
        pack([value])


@given(st.binary())
def test_random_bytes_are_a_value_or_a_value_error(data: bytes) -> None:
    assert_a_value_or_refused(data)


@given(NESTS, st.data())
def test_a_damaged_nest_is_a_value_or_a_value_error(value: Any, data: st.DataObject) -> None:
    packed = bytearray(pack((value, np.arange(3), np.ones((2, 2), order="F"))))
    for _ in range(3):
        packed[data.draw(st.integers(0, len(packed) - 1))] ^= 1 << data.draw(st.integers(0, 7))
    assert_a_value_or_refused(bytes(packed))


@given(NESTS)
def test_a_nest_that_is_cut_off_or_goes_on_is_a_value_error(value: Any) -> None:
    packed = pack(value)
    for damaged in (*(packed[:end] for end in range(len(packed))), packed + b"\xc0"):
        with pytest.raises(ValueError):
            unpack(damaged)


def test_every_flipped_bit_of_an_array_gives_a_value_or_a_value_error() -> None:
    packed = pack([np.arange(4, dtype=np.int16), np.ones((2, 3), order="F")])
    for bit in range(8 * len(packed)):
        flipped = bytearray(packed)
        flipped[bit // 8] ^= 1 << bit % 8
        assert_a_value_or_refused(bytes(flipped))


@pytest.mark.parametrize(
    "dtype",
    ["O", "|O", "V8", "S8", "U2", "M8[s]", "c8", "i4,i4", "(2,)i4", "", "no such", "i4\0", 7, (("a", "i4"),), ("i4",)],
    ids=repr,
)
def test_an_array_of_anything_but_numbers_is_a_value_error(dtype: Any) -> None:
    with pytest.raises(ValueError):
        unpack(stored_array(dtype, (1,), False))


@pytest.mark.parametrize("dtype", ["(,)i4", "08i4"])
def test_a_type_that_numpy_cannot_parse_is_a_value_error(dtype: str) -> None:
    """For these numpy raises a SyntaxError."""
    with pytest.raises(ValueError):
        unpack(stored_array(dtype, (1,), False))


@pytest.mark.parametrize(
    "shape", [(2,), (-1,), (-1, -1), (1, "1"), "1", None, 1, (1.0,), (2**62, 4), (1,) * 70], ids=repr
)
def test_a_shape_that_the_numbers_do_not_fill_is_a_value_error(shape: Any) -> None:
    with pytest.raises(ValueError):
        unpack(stored_array("<i8", shape, False))


@pytest.mark.parametrize(
    "data",
    [b"", b"\xc1", b"\x81\x81\x00\x00\x00", b"\xd6\xff\xff\xff\xff", b"\x92" * 5000, stored_array("<i8"),
     b"\xd4\x02\x00", b"\xc7\x0c\xff" + b"\xff" * 12, msgpack.packb(msgpack.ExtType(ARRAY, b""))],
    ids=lambda data: repr(data[:12]),
)  # fmt: skip
def test_bytes_that_pack_never_makes_are_a_value_or_a_value_error(data: bytes) -> None:
    assert_a_value_or_refused(data)


class Makes:
    """Unpickled, makes a folder."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> Any:
        return os.mkdir, (str(self.path),)


def test_a_pickle_that_runs_code_is_refused_and_runs_none(tmp_path: Path) -> None:
    program = pickle.dumps(Makes(tmp_path / "made"))
    with pytest.raises(ValueError):
        unpack(program)
    assert not (tmp_path / "made").exists()
    pickle.loads(program)
    assert (tmp_path / "made").exists(), "it is a program"
