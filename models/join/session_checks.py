"""Finds the calls that rules over sessions have judged, and counts what was found (docs/decisions/0047).

A result counts where its call is held under its session, from before the batch or by it. So none counts of a call that
was refused, that was erased meanwhile, or that another session has.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Final, NamedTuple

import numpy as np

from aftercall.contracts.results import RESULTS
from aftercall.times import HOUR_US
from models.arrays import I32
from models.columns.group_sums import total
from models.join.arrivals import CallColumns
from models.join.completions import Filled
from models.join.contents import SESSION_BIT
from models.join.early_outcomes import EarlyOutcomes
from models.join.held_calls import fold_digest
from models.join.identity import key_of
from models.join.shard_state import ShardState
from models.side_messages import (
    NO_CHECK_DELTAS,
    CheckDeltas,
    Checked,
    CheckedRule,
    CheckRow,
    GroupName,
    Judge,
    SessionCheck,
    SessionFinding,
)

_CODES: Final[dict[str, int]] = {result: code for code, result in enumerate(RESULTS)}
_NOT_APPLICABLE: Final = _CODES["not_applicable"]


class _Placed(NamedTuple):
    """A result with its call, which closes once the watermark is later than `closes`.

    `came_without`: its first record had no session, so that nothing applied to it then.
    """

    check: SessionCheck
    group: int
    at: int
    closes: int
    came_without: bool

    def counts(self, judge: Judge, group: GroupName) -> bool:
        """Whether the record that was judged is of this call; of one without a session, whether it was open then."""
        rule: CheckedRule = self.check.found[0].rule
        if not self.came_without or self.check.group != group:
            return self.check.group == group
        return self.closes >= self.check.passed and judge.in_force(rule.contract, rule.version, group, self.at)


class SessionResults:
    """The results that came with a batch. Make it before the batch is applied: a call may close in it."""

    def __init__(self, shard: ShardState, early: EarlyOutcomes, checks: Sequence[SessionCheck]) -> None:
        """Find the calls that are held."""
        self._shard, self._early = shard, early
        self._placed = list[_Placed]()
        self._left: dict[str, list[SessionCheck]] = {}
        for check in checks:
            placed = self._held(check)
            if placed is None:
                self._left.setdefault(check.call_id, []).append(check)
            else:
                self._placed.append(placed)

    def checked(self, calls: CallColumns, first: Filled, filling: Filled, judge: Judge, open_minute: int) -> Checked:
        """What counts; `open_minute`: no results take effect before it. O(n) for n calls of the batch."""
        if self._left:
            self._placed += self._accepted(calls, first, came_without=False)
            brings = (filling.new & np.uint32(SESSION_BIT)) != 0
            brought = Filled(*(column[brings] for column in filling))
            self._placed += self._accepted(calls, brought, came_without=True)
        counts, rows, groups = _Counts(), list[CheckRow](), self._shard.groups
        for one in self._placed:
            name = groups[one.group]
            if not one.counts(judge, name):
                continue
            for found in one.check.found:
                counts.add(one, max(one.check.minute, open_minute), found)
                if found.kept:
                    rows.append(_row(one, name, found))
        return Checked(rows, list(counts.rules), counts.deltas(), [], 0)

    def _held(self, check: SessionCheck) -> _Placed | None:
        key = key_of(self._shard, self._early, check.call_id, check.key)
        row = -1 if key is None else self._shard.held.index.find_one(key)
        held = self._shard.held
        if row < 0 or held.calls.session.item(row) != fold_digest(check.session):
            return None
        units, at = held.units.of(np.array([row], np.int32)), held.calls.at.item(row)
        came_without = units is None or units.item(0) != check.session
        if not came_without and at != check.at:
            return None  # another call that had its id
        closes = self._shard.closing_times(np.array([row], np.int32)).item(0)
        return _Placed(check, held.calls.group.item(row), at, closes, came_without)

    def _accepted(self, calls: CallColumns, filled: Filled, *, came_without: bool) -> Iterable[_Placed]:
        columns, rules, groups = (filled.chosen, filled.group, filled.at), self._shard.rules, self._shard.groups
        for record, group, at in zip(*(column.tolist() for column in columns), strict=True):
            for check in self._left.get(calls.records[record].call_id, ()):
                is_of_session = calls.session.item(record) == fold_digest(check.session)
                if is_of_session and (came_without or at == check.at):
                    closes = at + rules.horizon(groups[group][0]) + rules.allowed_lateness_us
                    yield _Placed(check, group, at, closes, came_without)


class _Counts:
    """Results per group, minute, hour of the call and rule."""

    def __init__(self) -> None:
        self.rules: dict[CheckedRule, int] = {}
        self._cells: Counter[tuple[int, int, int, int, int]] = Counter()

    def add(self, placed: _Placed, minute: int, found: SessionFinding) -> None:
        """Count a result; until now the rule was not applicable where the call came without a session."""
        rule = self.rules.setdefault(found.rule, len(self.rules))
        cell = placed.group, minute, placed.at // HOUR_US, rule
        self._cells[*cell, _CODES[found.result]] += 1
        self._cells[*cell, _NOT_APPLICABLE] -= placed.came_without

    def deltas(self) -> CheckDeltas:
        """All of them, each cell once."""
        rows = [(*cell, code, count) for (*cell, code), count in self._cells.items() if count]
        if not rows:
            return NO_CHECK_DELTAS
        *keys, code, count = np.array(rows, np.int64).T
        sums = np.zeros((len(RESULTS), len(rows)), np.int32)
        sums[code, np.arange(len(rows))] = count
        return _summed([key.astype(np.int32) for key in keys], list(sums))


def together(one: Checked, other: Checked) -> Checked:
    """What was found of calls and of sessions."""
    rules = list(one.rules)
    places = {rule: place for place, rule in enumerate(rules)}
    for rule in other.rules:
        if rule not in places:
            places[rule] = len(rules)
            rules.append(rule)
    number = np.array([places[rule] for rule in other.rules], np.int32)
    moved = other.deltas._replace(rule=number[other.deltas.rule]) if len(other.rules) else other.deltas
    columns = [np.concatenate(pair) for pair in zip(one.deltas, moved, strict=True)]
    deltas = _summed(columns[:4], columns[4:]) if len(columns[0]) else NO_CHECK_DELTAS
    return Checked([*one.rows, *other.rows], rules, deltas, [*one.uses, *other.uses], one.disagreed + other.disagreed)


def _summed(keys: Sequence[I32], sums: Sequence[I32]) -> CheckDeltas:
    first, added = total(tuple(keys), tuple(sums))
    return CheckDeltas(*(key[first] for key in keys), *added)


def _row(placed: _Placed, group: GroupName, found: SessionFinding) -> CheckRow:
    rule = found.rule
    named = rule.contract, rule.version, rule.rule, found.type, found.severity
    return CheckRow(
        placed.check.call_id, placed.at, group, *named, found.result, found.actual, found.threshold, found.details
    )
