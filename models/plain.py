"""Packs plain values and numpy arrays as msgpack, and reads them back.

Lists come back as tuples: what was stored is fixed, and a tuple may be a key. Arrays are the extension `ARRAY`: a
msgpack array of (dtype, shape, whether in Fortran order) and the raw numbers in it. Moments are msgpack's own
timestamps. Reading calls no function that the data names, unlike `pickle`.
"""

from __future__ import annotations

from functools import lru_cache
from math import prod
from typing import Any, Final, TypeAlias

import msgpack
import numpy as np
from numpy.typing import NDArray

Plain: TypeAlias = Any
"""A value that `pack` takes."""
ARRAY: Final = 1
"""Code of the extension type."""
_DTYPES: Final = frozenset(("|b1", "|i1", "|u1", *(f"<{kind}{size}" for kind in "iuf" for size in (2, 4, 8))))
"""The types of numbers in arrays. numpy's parser of types is not asked about anything else: it evaluates some texts."""


def pack(value: Any) -> bytes:
    """The bytes of a value: None, bool, int of 64 bits, float, str, bytes, aware datetime, list, tuple, dict, array.

    One copy of each array. Scalars of numpy become numbers of Python.

    Raises:
        TypeError: the value, or one within it, is none of these.

    >>> unpack(pack({("a", 1): [True, None, 2.5], "count": np.int64(3)}))
    {('a', 1): (True, None, 2.5), 'count': 3}
    >>> unpack(pack(np.arange(4, dtype=np.int16).reshape(2, 2)))
    array([[0, 1],
           [2, 3]], dtype=int16)
    """
    packed: bytes = msgpack.packb(value, default=_extension, datetime=True)
    return packed


def unpack(data: bytes) -> Any:
    """The value that `pack` was given; its arrays are writable.

    Raises:
        ValueError: this is not what `pack` makes.
    """
    try:
        return msgpack.unpackb(data, use_list=False, strict_map_key=False, timestamp=3, ext_hook=_value)
    except (msgpack.UnpackException, ValueError, TypeError, KeyError, OverflowError) as wrong:
        raise ValueError(f"not msgpack of plain values: {wrong}") from wrong


def _extension(value: Any) -> Any:
    if isinstance(value, np.ndarray | np.generic):
        dtype = value.dtype.str
        if dtype not in _DTYPES:
            value = value.astype(value.dtype.newbyteorder("<"), copy=False)
            dtype = value.dtype.str
        if dtype in _DTYPES:
            return _packed_array(value, dtype) if isinstance(value, np.ndarray) else value.item()
    raise TypeError(f"{type(value).__module__}.{type(value).__qualname__} is not a plain value")


def _packed_array(array: NDArray[Any], dtype: str) -> Any:
    flags = array.flags
    in_c = flags.c_contiguous
    fortran = not in_c and flags.f_contiguous
    numbers = array if in_c else array.T if fortran else np.ascontiguousarray(array)
    return msgpack.ExtType(ARRAY, b"".join((_head(dtype, array.shape, fortran), numbers.data)))


@lru_cache(4096)
def _head(dtype: str, shape: tuple[int, ...], fortran: bool) -> bytes:  # noqa: FBT001 - a part of the head
    """Kept, as small states are many small arrays of few shapes."""
    head: bytes = msgpack.packb((dtype, shape, fortran))
    return head


def _value(code: int, data: bytes) -> Any:
    if code != ARRAY:
        raise ValueError(f"extension {code} is unknown")
    head = msgpack.Unpacker(use_list=False)
    head.feed(data[:256])
    dtype, shape, fortran = head.unpack()
    numbers = np.frombuffer(data, _dtype(dtype), offset=head.tell())
    if len(numbers) != prod(shape):
        raise ValueError(f"{len(numbers)} numbers do not fill the shape {shape}")
    array: NDArray[Any] = numbers.reshape(shape, order="F" if fortran else "C").copy(order="K")
    return array


def _dtype(name: object) -> np.dtype[Any]:
    if name not in _DTYPES:
        raise ValueError(f"arrays of {name!r} are not plain")
    return np.dtype(str(name))
