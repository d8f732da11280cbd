"""What a stored state holds: its classes, and where two of them differ apart from how pickle wrote them down."""

from __future__ import annotations

import io
import math
import pickle
from collections.abc import Iterable, Iterator
from types import MethodType
from typing import Any

import numpy as np

_PICKLED = b"\x80"
"""How every pickle since protocol 2 begins; some states hold a pickle of another library's objects as bytes."""
_BY_IDENTITY: Any = object.__eq__
_SIMPLE = frozenset((bool, int, float, str, type(None)))


class _Noting(pickle.Unpickler):
    def __init__(self, stored: bytes) -> None:
        super().__init__(io.BytesIO(stored))
        self.paths: set[str] = set()

    def find_class(self, module: str, name: str) -> Any:
        self.paths.add(f"{module}.{name}")
        return super().find_class(module, name)


def class_paths(stored: bytes) -> set[str]:
    """Everything that reading the state imports, pickles inside it included."""
    noting = _Noting(stored)
    found = [noting.load()]
    paths = noting.paths
    while found:
        value = found.pop()
        if isinstance(value, bytes) and value.startswith(_PICKLED):
            paths |= class_paths(value)
        elif isinstance(value, dict):
            found += [*value.keys(), *value.values()]
        elif isinstance(value, list | tuple | set | frozenset):
            found += value
    return paths


def parts(state: Any, place: str = "") -> Iterator[tuple[str, bool]]:
    """The places of a state down to where there is no name any more, and whether each holds anything but nothing."""
    if isinstance(state, dict) and state and all(isinstance(key, str) and key.isidentifier() for key in state):
        for key, value in state.items():
            yield from parts(value, f"{place}.{key}" if place else key)
    elif isinstance(state, np.ndarray):
        yield place, bool(state.any())
    else:
        yield place, bool(state)


def difference(one: Any, other: Any, place: str = "") -> str | None:
    """The first place where two values differ in type or value, None where nowhere.

    A nan equals a nan, and bytes that are pickles are compared by what they hold.
    """
    if one is other:
        return None
    if type(one) is not type(other):
        return f"{place}: {type(one).__name__} and {type(other).__name__}"
    if isinstance(one, np.ndarray):
        alike = one.dtype == other.dtype != np.object_ and one.shape == other.shape
        if alike and one.tobytes() == other.tobytes():
            return None
        return difference((one.dtype, one.tolist()), (other.dtype, other.tolist()), place)
    if isinstance(one, bytes) and one.startswith(_PICKLED) and one != other:
        return difference(pickle.loads(one), pickle.loads(other), f"{place} unpickled")
    if isinstance(one, dict) and one.keys() == other.keys():
        return _first(_within(value, other[key], f"{place}[{key!r}]") for key, value in one.items())
    if isinstance(one, list | tuple) and len(one) == len(other):
        pairs = enumerate(zip(one, other, strict=True))
        return _first(_within(a, b, f"{place}[{at}]") for at, (a, b) in pairs)
    if isinstance(one, MethodType):
        return difference(one.__name__, other.__name__, place)
    if type(one).__eq__ is _BY_IDENTITY and not isinstance(one, type):
        return difference(one.__reduce_ex__(4)[1:], other.__reduce_ex__(4)[1:], f"{place} {type(one).__name__}")
    both_nan = isinstance(one, float) and math.isnan(one) and math.isnan(other)
    return None if both_nan or one == other else f"{place}: {one!r:.300} and {other!r:.300}"


def _within(one: Any, other: Any, place: str) -> str | None:
    """As `difference`, which is not called for the many values that are surely the same."""
    simple = type(one) is type(other) and type(one) in _SIMPLE
    return None if one is other or (simple and one == other) else difference(one, other, place)


def _first(differences: Iterable[str | None]) -> str | None:
    return next(filter(None, differences), None)
