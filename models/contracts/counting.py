"""Counts results of rules per group, minute, hour of the call and rule."""

from __future__ import annotations

from functools import cached_property

import numpy as np

from aftercall.times import HOUR_US
from models.arrays import I8, I32, I64
from models.columns.group_sums import distinct, packed, total
from models.contracts.columns import at_rows
from models.contracts.result_codes import NOT_APPLICABLE, PASS, not_passed
from models.side_messages import NO_CHECK_DELTAS, CheckDeltas, CountedCalls, JudgedCalls

_RESULTS = 4


class Counting:
    """The differences that the records of one batch make."""

    def __init__(self, first: JudgedCalls) -> None:
        """Count nothing; `first`: the first records of calls."""
        self._first = first
        self._parts: list[CheckDeltas] = []
        self._rows: list[tuple[int, int, int, int, int]] = []

    def add_passing(self, number: I32, calls: I64 | None) -> None:
        """Add `calls` that pass all rules, places in `first`; None: all. `number`: of each rule."""
        if not len(number):
            return
        counted = self._counted(calls)
        cells = len(counted.calls)
        columns = np.concatenate(counted).reshape(len(counted), cells)
        code, minute, hour, passed = np.concatenate((columns,) * len(number), axis=1)
        none = np.zeros(len(passed), np.int32)
        self._parts.append(CheckDeltas(code, minute, hour, number.repeat(cells), passed, none, none, none))

    def add(self, number: I32, calls: I64 | None, others: I64, codes: I8) -> None:
        """The same where `others`, some of the `calls`, have these results; `codes` has the shape (others, rules)."""
        counted, rules = self._counted(calls), len(number)
        cells = len(counted.calls)
        counts = np.zeros((cells, rules, _RESULTS), np.int32)
        counts[:, :, PASS] = counted.calls[:, None]
        other, rule = not_passed(codes)
        _move(counts, _places(counted, self._first, others)[other], rule, codes[other, rule])
        cell = np.arange(cells).repeat(rules)
        code, minute, hour = (column[cell] for column in counted[:3])
        passed, failed, not_applicable, errors = counts.reshape(-1, _RESULTS).T
        rule_of_cell = np.tile(number, cells)
        self._parts.append(CheckDeltas(code, minute, hour, rule_of_cell, passed, failed, not_applicable, errors))

    def _counted(self, calls: I64 | None) -> CountedCalls:
        if calls is not None:
            return _count(self._first, calls)
        return self._all_counted

    @cached_property
    def _all_counted(self) -> CountedCalls:
        return self._first.counted or _count(self._first, None)

    def add_late(self, group: int, minute: int, at: int, number: int, code: int) -> None:
        """A result that could not be had before: until now the rule was not applicable."""
        if code != NOT_APPLICABLE:
            self._rows.append((group, minute, at // HOUR_US, number, code))

    def deltas(self) -> CheckDeltas:
        """All of them, each cell once."""
        if not self._rows:
            return _joined(self._parts) if self._parts else NO_CHECK_DELTAS
        *late, code = np.array(self._rows, np.int64).T.astype(np.int32)
        counts = np.zeros((len(code), _RESULTS), np.int32)
        counts[np.arange(len(code)), code] = 1
        counts[:, NOT_APPLICABLE] -= 1
        columns = _joined([*self._parts, CheckDeltas(*late, *counts.T)])
        # Without those that came late cells are distinct: no rule stands in two contracts.
        first, sums = total(columns[:-_RESULTS], columns[-_RESULTS:])
        return CheckDeltas(*(column[first] for column in columns[:-_RESULTS]), *sums)


def _joined(parts: list[CheckDeltas]) -> CheckDeltas:
    return parts[0] if len(parts) == 1 else CheckDeltas(*map(np.concatenate, zip(*parts, strict=True)))


def _move(counts: I32, place: I64, rule: I64, code: I8) -> None:
    """Count those that did not pass, and were counted as if they did, where they belong."""
    cell = (place * counts.shape[1] + rule) * _RESULTS + code
    others = np.bincount(cell, minlength=counts.size).reshape(counts.shape).astype(np.int32)
    counts += others
    counts[:, :, PASS] -= others.sum(axis=2)


def _columns(first: JudgedCalls, calls: I64 | None) -> tuple[I32, I32, I32]:
    """Group, minute and hour of calls; None: of all."""
    group, minute, at = (at_rows(column, calls) for column in (first.group, first.minute, first.at))
    return group, minute, (at // HOUR_US).astype(np.int32)


def _count(first: JudgedCalls, calls: I64 | None) -> CountedCalls:
    """Count calls, of which there are some. Sorts nothing where their minutes lie close together."""
    columns = _columns(first, calls)
    cells, place = _distinct(columns)
    group, minute, hour = (column[cells] for column in columns)
    return CountedCalls(group, minute, hour, np.bincount(place).astype(np.int32))


def _distinct(columns: tuple[I32, ...]) -> tuple[I64, I64]:
    """A row of each distinct combination, and per row which of these it is."""
    in_one = packed(columns)
    if in_one is not None:
        return distinct(in_one)
    _, first, place = np.unique(np.stack(columns, axis=1), axis=0, return_index=True, return_inverse=True)
    return first, place.ravel()


def _places(counted: CountedCalls, first: JudgedCalls, calls: I64) -> I64:
    """Of some of the calls that were counted, their rows there, which are distinct and ascend."""
    cells = len(counted.calls)
    columns = tuple(map(np.concatenate, zip(counted[:3], _columns(first, calls), strict=True)))
    in_one = packed(columns)
    if in_one is None:
        _, in_one = _distinct(columns)
    return np.searchsorted(in_one[:cells], in_one[cells:])
