"""Keeps what watched sources say, of minutes that are still open."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np

from models.arrays import I32
from models.columns.group_sums import total
from models.groups.usual_lateness import STRIDE
from models.side_messages import NO_OPINION_TRIALS, OpinionTrials


class OpenOpinions:
    """Trials of opinions; groups and sources are codes of the group step. Empty where no source is watched."""

    def __init__(self, parts: Iterable[Any] = ()) -> None:
        """Start empty, or from a `state()`; one of before sources were watched has none."""
        self._parts = [OpinionTrials(*part) for part in parts]

    def state(self) -> list[OpinionTrials]:
        """Plain values and arrays; not a copy."""
        self._parts = [self._joined()] if self._parts else []
        return self._parts

    def add(self, rows: OpinionTrials, code: I32, source: I32) -> None:
        """Take in rows of a message, of groups `code`; `source`: by its codes of sources the own ones."""
        if len(code):
            self._parts.append(rows._replace(code=code, source=source[rows.source]))

    def pop(self, through: int) -> OpinionTrials:
        """The rows of minutes before `through`, which are forgotten. An upload says nothing of how long it took."""
        if not self._parts:
            return NO_OPINION_TRIALS
        whole = self._joined()
        closed = whole.minute < through
        kept, popped = (_rows(whole, chosen) for chosen in (~closed, closed))
        self._parts = [kept] if len(kept.code) else []
        return popped._replace(bucket=np.where(popped.code < STRIDE, popped.bucket, np.int16(0)))

    def _joined(self) -> OpinionTrials:
        columns: tuple[Any, ...] = tuple(map(np.concatenate, zip(*self._parts, strict=True)))
        return OpinionTrials(*columns)


def sum_opinions(rows: OpinionTrials, code: I32, source: I32) -> OpinionTrials:
    """One row per (minute, group, source, success, bucket, unit), under new codes; none that cancelled out."""
    if not len(rows.code):
        return NO_OPINION_TRIALS
    _, unit = np.unique(rows.unit, return_inverse=True)  # in the order of the units, and small
    rows = rows._replace(code=code[rows.code], source=source[rows.source])
    first, (count,) = total((rows.minute, rows.code, rows.source, rows.success, rows.bucket, unit), (rows.count,))
    return _rows(rows, first)._replace(count=count)


def _rows(table: OpinionTrials, chosen: Any) -> OpinionTrials:
    return OpinionTrials(*(column[chosen] for column in table))
