"""Finds what has changed between two plain states, and applies such changes.

A step with a large state then stores only what an epoch changed. Two values are the same where `plain.pack` makes the
same bytes of them: 1, 1.0 and True differ, as do 0.0 and -0.0, two bit patterns of NaN, two orders of keys, and the two
memory orders of an array; a list and a tuple do not. A change is a plain value:

    ()                                            nothing changed
    (WHOLE, value)                                another value stands here
    (DICT, removed keys, {key: change})           new keys follow the old ones
    (SEQUENCE, kept, {index: change}, appended)   of a list or tuple: its first `kept` parts stay, others follow
    (ARRAY, axis, kept, index, values, appended)  the same of an array's slices along `axis`, which is the first axis of
                                                  `values`, the new slices at `index`, and of `appended`

Where a sequence or an array loses parts before its end, those that follow move, and count as changed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any, Final, TypeAlias

import numpy as np
from numpy.typing import NDArray

from models import plain
from models.plain import Plain

Change: TypeAlias = tuple[Any, ...]
_Memory: TypeAlias = "bytes | NDArray[Any] | dict[Any, _Memory] | list[_Memory]"
"""A remembered state: large arrays as copies, containers of large parts as containers, anything else packed."""
_Compare: TypeAlias = Callable[[list[Any], list[Any]], dict[int, Change]]
"""Finds the changes, by index, between two lists of one length."""

_WHOLE, _DICT, _SEQUENCE, _ARRAY = range(4)
_SMALL_BYTES: Final = 256
"""Arrays and packed values of up to this size are replaced whole."""
_PART_BYTES: Final = 64
"""A container is packed as one where its parts take up to this size on average."""
_BLOCK: Final = 64
"""So many packed parts are compared at once."""


class Tracker:
    """Remembers a plain state, and finds what has changed since.

    Memory: about one copy of the state, packed. Cost of `changes`: 0.2 ms per MB of large arrays; for the rest the time
    to pack it, 3 µs for each part of a container of large parts, and some times that for containers that changed.
    """

    def __init__(self, state: Plain | None = None) -> None:
        """Remember a state, live or from `plain.unpack`; nothing if None.

        Raises:
            TypeError: the state is not plain.
            ValueError: it is nested too deep.
        """
        with _bounded_depth():
            self._memory = None if state is None else _remembered(state)

    def changes(self, state: Plain) -> Change | None:
        """What has changed since the remembered state; remembers this one instead.

        Args:
            state: plain values and arrays. Their owner may change them as soon as the result, which refers to them, is
                packed.

        Returns:
            A change for `merged`; empty if nothing changed. None if nothing was remembered: store the state whole.

        Raises:
            TypeError: the state is not plain. Nothing is remembered then.
        """
        memory, self._memory = self._memory, None
        change = None if memory is None else _change(memory, state)
        self._memory = _remembered(state) if memory is None or change is None else _updated(memory, state, change)
        return change


def merged(state: Plain, changes: Iterable[Change]) -> Plain:
    """The state after these changes, in order; packs to the same bytes as the state in which they were found.

    Cost: that of the changes, plus one copy of every sequence that changed and every array that grew or shrank.

    Args:
        state: from `plain.unpack`, or live; its dictionaries and arrays are changed in place, and reused.
        changes: from `Tracker.changes` through `plain.pack` and `plain.unpack`; their values are reused too.

    Raises:
        ValueError, TypeError, LookupError: these are no changes of this state. No more memory is taken than some times
            that of `state` and `changes`.
    """
    with _bounded_depth():
        return _merged(state, changes)


@contextmanager
def _bounded_depth() -> Iterator[None]:
    try:
        yield
    except RecursionError:
        raise ValueError("plain values are nested too deep") from None


def _remembered(value: Plain) -> _Memory:
    packed = _packed(value)
    if packed is not None:
        return packed
    if isinstance(value, dict):
        return {key: _remembered(part) for key, part in value.items()}
    if isinstance(value, list | tuple):
        return list(map(_remembered, value))
    stored = _as_stored(value)
    return stored.copy(order=_order(stored))


def _packed(value: Plain) -> bytes | None:
    """None for a large array, and for a container of parts that are worth being remembered one by one."""
    if isinstance(value, np.ndarray) and value.nbytes > _SMALL_BYTES:
        return None
    packed = plain.pack(value)
    small = not isinstance(value, dict | list | tuple) or len(packed) <= max(_SMALL_BYTES, _PART_BYTES * len(value))
    return packed if small else None


def _updated(memory: _Memory, value: Plain, change: Change) -> _Memory:
    """The memory of a value, made of that of the value before the change."""
    if not change:
        return memory
    packed = _packed(value) if isinstance(memory, bytes) else None
    if packed is not None:
        return packed
    kind, *content = change
    if kind == _DICT and isinstance(memory, dict):
        _, changed = content
        return {key: _updated(memory.get(key, b""), part, changed.get(key, ())) for key, part in value.items()}
    if kind == _SEQUENCE and isinstance(memory, list):
        kept, changed, appended = content
        return [
            *(_updated(memory[at], value[at], changed.get(at, ())) for at in range(kept)),
            *map(_remembered, appended),
        ]
    if kind == _ARRAY and isinstance(memory, np.ndarray) and memory.shape == value.shape:
        axis, _, index, values, _ = content
        np.moveaxis(memory, axis, 0)[index] = values
        return memory
    return _remembered(value)


def _change(memory: _Memory, value: Plain) -> Change:
    if not isinstance(memory, bytes):
        return _change_inside(memory, value, _compare_remembered)
    packed = plain.pack(value)
    return () if packed == memory else _change_of_packed(plain.unpack(memory), value, len(packed))


def _change_of_packed(old: Plain, value: Plain, size: int) -> Change:
    """Where `old`, from `plain.unpack`, differs from a value of this size in bytes."""
    if size > _SMALL_BYTES:
        change = _change_inside(old, value, _compare_unpacked)
        if len(plain.pack(change)) < size:
            return change
    return _WHOLE, value


def _change_inside(old: Any, value: Plain, compare: _Compare) -> Change:
    if isinstance(old, dict) and isinstance(value, dict):
        return _change_of_dict(old, value, compare)
    if isinstance(old, list | tuple) and isinstance(value, list | tuple):
        kept = min(len(old), len(value))
        changed = compare([*old[:kept]], [*value[:kept]])
        return (_SEQUENCE, kept, changed, value[kept:]) if changed or len(old) != len(value) else ()
    if isinstance(old, np.ndarray) and isinstance(value, np.ndarray):
        return _change_of_array(old, _as_stored(value))
    return _WHOLE, value


def _compare_remembered(old: list[Any], new: list[Any]) -> dict[int, Change]:
    return {at: change for at, pair in enumerate(zip(old, new, strict=True)) if (change := _change(*pair))}


def _compare_unpacked(old: list[Any], new: list[Any]) -> dict[int, Change]:
    changes: dict[int, Change] = {}
    for begin in range(0, len(new), _BLOCK):
        block = slice(begin, begin + _BLOCK)
        if plain.pack(old[block]) != plain.pack(new[block]):
            for at, (one, other) in enumerate(zip(old[block], new[block], strict=True), start=begin):
                packed = plain.pack(other)
                if packed != plain.pack(one):
                    changes[at] = _change_of_packed(one, other, len(packed))
    return changes


def _change_of_dict(old: dict[Any, Any], value: dict[Any, Any], compare: _Compare) -> Change:
    common = [key for key in old if key in value]
    new = [key for key in value if key not in old]
    if plain.pack([*common, *new]) != plain.pack([*value]):  # in another order, or 1 and True
        return _WHOLE, value
    changes = compare([old[key] for key in common], [value[key] for key in common])
    changed = {common[at]: change for at, change in changes.items()} | {key: (_WHOLE, value[key]) for key in new}
    removed = [key for key in old if key not in value]
    if not all(key in old or key in value for key in plain.unpack(plain.pack([*removed, *changed]))):
        return _WHOLE, value  # a key that holds NaN is not found by what it is read back as
    return (_DICT, removed, changed) if removed or changed else ()


def _change_of_array(old: NDArray[Any], value: NDArray[Any]) -> Change:
    resized = [axis for axis, sizes in enumerate(zip(old.shape, value.shape, strict=False)) if sizes[0] != sizes[1]]
    alike = (old.dtype, old.ndim, _order(old)) == (value.dtype, value.ndim, _order(value))
    if not alike or not value.ndim or len(resized) > 1:
        return _WHOLE, value
    common = tuple(map(slice, map(min, old.shape, value.shape)))
    differs = _bits(old[common]) != _bits(value[common])
    if not resized and not differs.any():
        return ()
    # The axis of which the smallest share of slices differs.
    slices = {axis: _differing(differs, axis) for axis in resized or range(value.ndim)}
    axis = min(slices, key=lambda axis: len(slices[axis]) / max(differs.shape[axis], 1))
    kept, index, rows = differs.shape[axis], slices[axis], np.moveaxis(value, axis, 0)
    if 2 * (len(index) + len(rows) - kept) > len(rows):
        return _WHOLE, value
    return _ARRAY, axis, kept, index.astype(np.min_scalar_type(kept)), rows[index], rows[kept:]


def _differing(differs: NDArray[np.bool_], axis: int) -> NDArray[np.intp]:
    return np.flatnonzero(differs.any(axis=tuple(other for other in range(differs.ndim) if other != axis)))


def _bits(array: NDArray[Any]) -> NDArray[Any]:
    return array.view(f"u{array.itemsize}")


def _as_stored(array: NDArray[Any]) -> NDArray[Any]:
    """With the bytes of numbers in the order in which `plain` stores them."""
    return array.astype(array.dtype.newbyteorder("<"), copy=False)


def _order(array: NDArray[Any]) -> Any:
    """The order of memory in which `plain` stores such an array."""
    return "F" if array.flags.f_contiguous and not array.flags.c_contiguous else "C"


def _merged(value: Plain, changes: Iterable[Change]) -> Plain:
    partial: list[Change] = []
    for change in changes:
        if not isinstance(change, tuple):
            raise TypeError(f"a change is a tuple, not {type(change).__name__}")
        if change and change[0] == _WHOLE:
            (_, value), partial = change, []
        elif change:
            partial.append(change)
    if not partial:
        return value
    if isinstance(value, dict):
        return _merged_dict(value, partial)
    if isinstance(value, list | tuple):
        return _merged_sequence([*value], partial)
    if isinstance(value, np.ndarray):
        return _merged_array(value, partial)
    raise ValueError(f"no part of {type(value).__name__} can change")


def _content(change: Change, kind: int, *types: type) -> Change:
    """What follows the kind of a change.

    Raises:
        ValueError, TypeError, LookupError: it is of another kind, or something else.
    """
    found, *content = change
    if found != kind or not all(map(isinstance, content, types)):
        raise ValueError(f"a change of kind {kind} does not hold {[type(part).__name__ for part in content]}")
    return tuple(content)


def _merged_dict(value: dict[Any, Any], changes: list[Change]) -> dict[Any, Any]:
    waiting: dict[Any, list[Change]] = {}
    for change in changes:
        removed, changed = _content(change, _DICT, tuple, dict)
        for key in removed:
            del value[key]
            waiting.pop(key, None)
        for key, part in changed.items():
            value.setdefault(key)
            waiting.setdefault(key, []).append(part)
    for key, parts in waiting.items():
        value[key] = _merged(value[key], parts)
    return value


def _merged_sequence(value: list[Any], changes: list[Change]) -> tuple[Any, ...]:
    waiting: dict[int, list[Change]] = {}
    for change in changes:
        kept, changed, appended = _content(change, _SEQUENCE, int, dict, tuple)
        if not all(at in range(kept) for at in changed) or kept not in range(len(value) + 1):
            raise ValueError(f"the change does not fit {len(value)} parts")
        for at in range(kept, len(value)):
            waiting.pop(at, None)
        value[kept:] = appended
        for at, part in changed.items():
            waiting.setdefault(at, []).append(part)
    for at, parts in waiting.items():
        value[at] = _merged(value[at], parts)
    return tuple(value)


def _merged_array(value: NDArray[Any], changes: list[Change]) -> NDArray[Any]:
    # `value` becomes the first corner of `room`, which doubles where it must grow: the cost is linear in what comes.
    order, room = _order(value), value
    for change in changes:
        axis, kept, index, values, new = _content(change, _ARRAY, int, int, *[np.ndarray] * 3)
        rows = np.moveaxis(value, axis, 0)
        alike = {(part.dtype, part.shape[1:]) for part in (rows, values, new)}
        indexed = index.dtype.kind == "u" and index.shape == (len(values),)
        if len(alike) > 1 or not indexed or axis < 0 or kept not in range(len(rows) + 1):
            raise ValueError(f"the change does not fit an array of shape {value.shape}")
        rows[index] = values
        shape = [kept + len(new) if at == axis else size for at, size in enumerate(value.shape)]
        if shape[axis] > room.shape[axis]:
            room = np.empty([2 * size if at == axis else size for at, size in enumerate(shape)], value.dtype, order)
            room[tuple(map(slice, value.shape))] = value
        value = room[tuple(map(slice, shape))]
        np.moveaxis(value, axis, 0)[kept:] = new
    return value if value.shape == room.shape else value.copy(order=order)
