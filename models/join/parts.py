"""Puts the parts of columns together that the paths of one batch have made."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.arrays import I32, I64
from models.columns.group_sums import runs_of


def columns_of(parts: Sequence[tuple[NDArray[Any], ...]]) -> tuple[NDArray[Any], ...]:
    """The columns of all parts, of which there must be one."""
    return parts[0] if len(parts) == 1 else tuple(map(np.concatenate, zip(*parts, strict=True)))


def renumbered(count: int, used: list[I32]) -> tuple[I64, I32]:
    """Which of `count` codes are `used`, ascending; and by old code the new one, its place among those."""
    mask = np.zeros(count, np.bool_)
    for codes in used:
        mask[codes] = True
    (chosen,) = mask.nonzero()
    new = np.zeros(count, np.int32)
    new[chosen] = np.arange(len(chosen), dtype=np.int32)
    return chosen, new


def none_if_empty(texts: Iterable[str]) -> tuple[str, ...]:
    """The texts; nothing where all of them are empty."""
    found = tuple(texts)
    return found if any(found) else ()


def concatenated(parts: list[NDArray[Any]], dtype: Any) -> NDArray[Any]:
    """All parts as one column, which is empty where there are none."""
    if not parts:
        return np.zeros(0, dtype)
    return parts[0] if len(parts) == 1 else np.concatenate(parts)


def summed(parts: list[dict[str, Any]], keys: tuple[str, ...], columns: dict[str, Any]) -> dict[str, Any]:
    """Sum `parts` per distinct `keys`; absent columns of a part are zero; rows of zeros are dropped."""
    by = [concatenated([p[key] for p in parts], np.int32) for key in keys]
    order, starts = runs_of(tuple(by))
    first = order[starts]
    sums: dict[str, Any] = {}
    kept = np.zeros(len(first), np.bool_)
    for name, dtype in columns.items():
        column = np.zeros(len(order), dtype)
        at = 0
        for part in parts:
            end = at + len(part["group"])
            if name in part:
                column[at:end] = part[name]
            at = end
        total = np.add.reduceat(column[order], starts) if len(starts) else column
        sums[name] = total.astype(dtype)
        kept |= sums[name] != 0
    return {key: column[first][kept] for key, column in zip(keys, by, strict=True)} | {
        name: column[kept] for name, column in sums.items()
    }
