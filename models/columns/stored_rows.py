"""Puts rows together that lie in several stored parts of one table, one part after the other."""

from __future__ import annotations

from itertools import accumulate
from typing import Any

import numpy as np

from models.arrays import I64, U8, U16, Bools
from models.columns.id_column import TEXT

Stored = dict[str, Any]


def chosen(parts: list[Stored], rows: I64) -> Stored:
    """The columns of the first part, those of all parts one after the other, at `rows`."""
    return {name: np.concatenate([part[name] for part in parts])[rows] for name in parts[0]}


def ids(parts: list[Stored], rows: I64) -> Stored:
    """As `IdColumn.state_of`: the text is that of the rows of the last kind, in order."""
    columns = chosen([{name: part[name] for name in ("high", "low", "kind")} for part in parts], rows)
    text, lengths = texts(parts, np.concatenate([part["kind"] for part in parts]) == TEXT, rows)
    return {**columns, "text": text, "lengths": lengths}


def texts(parts: list[Stored], is_text: Bools, rows: I64) -> tuple[U8, U16]:
    """The texts of those of `rows` that have one, one after the other, and their lengths; `is_text`: of all rows."""
    place = np.cumsum(is_text)[rows[is_text[rows]]] - 1
    lengths = np.concatenate([part["lengths"] for part in parts])
    ends = np.cumsum(lengths, dtype=np.int64)
    taken = lengths[place].astype(np.int64)
    at = np.repeat(ends[place] - np.cumsum(taken), taken) + np.arange(taken.sum())
    return np.concatenate([part["text"] for part in parts])[at], lengths[place]


def by_place(parts: list[Stored], name: str, lengths: list[int], rows: I64) -> dict[int, Any]:
    """Values by row, renumbered: those of `rows` keep their value under their place in it, which is ascending."""
    first = [0, *accumulate(lengths)]
    of_parts = [part.get(name, {}) for part in parts]
    values = {start + at: value for part, start in zip(of_parts, first, strict=False) for at, value in part.items()}
    if not values:
        return {}
    has_value = np.zeros(first[-1], np.bool_)
    has_value[np.fromiter(values, np.int64, len(values))] = True
    places = np.flatnonzero(has_value[rows])
    return {place: values[row] for place, row in zip(places.tolist(), rows[places].tolist(), strict=True)}
