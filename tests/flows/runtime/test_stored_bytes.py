"""Bytes go into a pickle and come out of one without `pickle`, and nothing else comes out."""

from __future__ import annotations

import os
import pickle
from collections.abc import Iterator
from pathlib import Path
from random import Random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flows.runtime.stored_bytes import put_in, taken_out

SIZES = sorted(
    {size + more for size in (0, 255, 256, 65_535, 65_536, 100_000) for more in range(-3, 4) if size + more >= 0}
)
SMALL = (b"", b"\x94.", b"a" * 300)


class Makes:
    """Unpickled, makes a folder."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> Any:
        return os.mkdir, (str(self.path),)


def flips(data: bytes) -> Iterator[bytes]:
    """The data with each of its bits flipped."""
    for bit in range(8 * len(data)):
        flipped = bytearray(data)
        flipped[bit // 8] ^= 1 << bit % 8
        yield bytes(flipped)


def assert_nothing_or_what_pickle_loads(stored: bytes) -> None:
    """What comes out, if anything, is what Bytewax would get, which is bytes."""
    taken = taken_out(stored)
    assert taken is None or taken == pickle.loads(stored)


@pytest.mark.parametrize("size", SIZES)
def test_what_pickle_stores_is_taken_out_and_what_is_put_in_pickle_loads(size: int) -> None:
    data = Random(size).randbytes(size)
    assert taken_out(pickle.dumps(data, 4)) == data
    assert pickle.loads(put_in(data)) == data
    assert taken_out(put_in(data)) == data


@given(st.binary())
def test_any_bytes_are_taken_out_as_they_were_put_in(data: bytes) -> None:
    assert taken_out(pickle.dumps(data, 4)) == taken_out(put_in(data)) == pickle.loads(put_in(data)) == data


@pytest.mark.parametrize("protocol", range(6))
@pytest.mark.parametrize("value", [7, {}, {"a": b"b"}, "text", None, (b"a",), [b"a"], bytearray(b"a"), 1.5], ids=repr)
def test_a_pickle_of_anything_but_bytes_gives_nothing(value: Any, protocol: int) -> None:
    assert taken_out(pickle.dumps(value, protocol)) is None


@pytest.mark.parametrize("protocol", [0, 1, 2, 3, 5])
def test_bytes_of_another_protocol_give_nothing(protocol: int) -> None:
    for data in SMALL:
        assert taken_out(pickle.dumps(data, protocol)) is None


@pytest.mark.parametrize("protocol", range(6))
def test_a_pickle_that_runs_code_gives_nothing_and_runs_none(protocol: int, tmp_path: Path) -> None:
    program = pickle.dumps(Makes(tmp_path / "made"), protocol)
    assert taken_out(program) is None
    assert not (tmp_path / "made").exists()
    pickle.loads(program)
    assert (tmp_path / "made").exists(), "it is a program"


def test_bytes_that_more_instructions_follow_give_nothing(tmp_path: Path) -> None:
    """The last of the bytes would be replaced by what the instructions make."""
    program = pickle.dumps(Makes(tmp_path / "made"), 4)
    for stored in (put_in(b"a"), pickle.dumps(b"a", 4), pickle.dumps(b"a" * 70_000, 4)):
        for more in (program, program[2:], b".", b"0N.", b"\x85.", b"\0"):
            assert taken_out(stored + more) is None
            assert taken_out(stored[:-1] + more) in {None, b"a", b"a" * 70_000}
            assert_nothing_or_what_pickle_loads(stored[:-1] + more) if more != program else None
    assert not (tmp_path / "made").exists()


@pytest.mark.parametrize("data", SMALL, ids=len)
def test_a_pickle_that_is_cut_off_gives_nothing(data: bytes) -> None:
    for stored in (put_in(data), pickle.dumps(data, 4)):
        for end in range(len(stored)):
            assert taken_out(stored[:end]) is None


@pytest.mark.parametrize("data", SMALL, ids=len)
def test_a_flipped_bit_gives_nothing_or_the_bytes_that_pickle_loads(data: bytes) -> None:
    for stored in (put_in(data), pickle.dumps(data, 4)):
        for flipped in flips(stored):
            assert_nothing_or_what_pickle_loads(flipped)


@given(
    st.binary() | st.binary().map(lambda rest: b"\x80\x04" + rest) | st.binary().map(lambda rest: b"\x80\x04C" + rest)
)
def test_random_bytes_give_nothing_or_the_bytes_that_pickle_loads(stored: bytes) -> None:
    assert_nothing_or_what_pickle_loads(stored)
