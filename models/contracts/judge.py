"""Judges the calls of batches by the contracts that were in force when they occurred."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Final

import numpy as np

from aftercall.contracts.contract import FOREVER_US, Contract
from aftercall.contracts.contract_set import ContractSet
from aftercall.times import NEVER
from models.arrays import I32, I64, Objects
from models.columns.group_sums import distinct
from models.contracts.batch import BatchJudgement
from models.contracts.block import Found
from models.contracts.rule_table import RulesOf
from models.contracts.rulebook import Rulebook
from models.contracts.tool_paths import AsMapping
from models.side_messages import CallsToJudge, GroupName, ToolPaths

_MOST_KNOWN: Final = 65_536
"""Groups of one span."""
_BETWEEN: Final = np.ones(1, np.int64)
"""The span of all calls where no contract begins or ends: between `NEVER` and `FOREVER_US`."""


class ContractJudge:
    """Judges calls by all versions of all contracts. No result depends on an earlier batch; for one thread.

    Args:
        contracts: with the starts that the run has fixed.
        plain: gives a decoded record as a mapping with the fields of the wire.
        verdict: which violations are failures of their calls: "critical", "major" (and worse) or "never".
        keep: of which results rows are kept: "failed" (and errors), "all" or "none".
    """

    def __init__(
        self, contracts: ContractSet, plain: AsMapping, verdict: str = "critical", keep: str = "failed"
    ) -> None:
        self._book = Rulebook(contracts, plain, verdict, keep)
        bounds = {bound for one in contracts for bound in (one.from_us, one.until_us)}
        self._bounds: I64 = np.array(sorted(bounds), np.int64)
        self._is_timeless = bounds == {NEVER, FOREVER_US}
        self._in_force: dict[int, dict[GroupName, tuple[Contract, ...]]] = {}
        """By span, see `_spans`."""

    def judge(
        self,
        groups: Sequence[GroupName],
        calls: CallsToJudge,
        texts: Objects | None = None,
        paths: ToolPaths | None = None,
    ) -> BatchJudgement:
        """Judge a batch, each record as the first one of its call; `texts`: what the lane has found in them.

        With `paths`, the numbers that the lane has given to what calls did with their tools, few records are read.

        Some ns per call and rule on a number; some us per record and contract that has other rules.
        """
        return BatchJudgement(self._book, self._assigned(groups, calls.group, calls.at), calls, Found(texts, paths))

    def in_force(self, contract: str, version: str, group: GroupName, at: int) -> bool:
        """Whether a version of a contract judges calls of a group at a time, us."""
        judging = self._book.contracts.judging(*group, at)
        return any(one.name == contract and one.version == version for one in judging)

    def _assigned(self, groups: Sequence[GroupName], group: I32, at: I64) -> Iterable[tuple[RulesOf, I64 | None]]:
        """Each contract with the calls that it judges, by place, None for all; contracts by name and time."""
        if not len(at):
            return ()
        spans = self._spans(at)
        if len(spans) == 1 and len(groups) <= len(at):
            span = int(spans[0])
            found = set(map(self._in_force.setdefault(span, {}).get, groups))
            if None in found:
                found = {self._judging_in(one, span) for one in groups}
            if len(found) == 1:
                return [(self._book.table.of(contract), None) for contract in found.pop() or ()]
        return self._apart(groups, group, spans)

    def _apart(self, groups: Sequence[GroupName], group: I32, spans: I64) -> Iterator[tuple[RulesOf, I64 | None]]:
        """The same where not all calls are judged by the same contracts."""
        count = len(self._bounds) + 1
        key_of_call = group * np.int64(count) + spans
        first, place = distinct(key_of_call)
        keys_of: dict[Contract, list[int]] = {}
        for number, key in enumerate(key_of_call[first].tolist()):
            for contract in self._judging_in(groups[key // count], key % count):
                keys_of.setdefault(contract, []).append(number)
        for contract in sorted(keys_of, key=lambda one: (one.name, one.from_us)):
            chosen = np.zeros(len(first), np.bool_)
            chosen[keys_of[contract]] = True
            yield self._book.table.of(contract), None if chosen.all() else chosen[place].nonzero()[0]

    def _spans(self, at: I64) -> I64:
        """Between which two neighbours of the bounds calls lie; mostly one number for all."""
        if self._is_timeless:
            return _BETWEEN
        spans = np.searchsorted(self._bounds, (at.min(), at.max()), side="right")
        return spans[:1] if spans[0] == spans[1] else np.searchsorted(self._bounds, at, side="right")

    def _judging_in(self, group: GroupName, span: int) -> tuple[Contract, ...]:
        """The contracts of a group between two neighbours among the times at which any begins or ends."""
        in_span = self._in_force.setdefault(span, {})
        known = in_span.get(group)
        if known is None:
            if len(in_span) >= _MOST_KNOWN:
                in_span.clear()
            # Before the first of these times none is in force.
            found = self._book.contracts.judging(*group, int(self._bounds[span - 1])) if span else ()
            known = in_span[group] = found
        return known
