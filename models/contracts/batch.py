"""Holds what contracts make of the records of one batch, until the join knows which of them count."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from functools import cached_property
from typing import Any

import numpy as np

from aftercall.contracts.engine import judge_rule
from aftercall.contracts.facts import Facts
from aftercall.contracts.results import RuleResult
from aftercall.times import format_time
from aftercall.vocabulary import CONTRACT_PREFIX
from aftercall.wire_parts import MAX_LONG_TEXT
from models.arrays import I8, I64, Bools
from models.contracts.accepted import Accepted
from models.contracts.block import Block, Found, block_of
from models.contracts.columns import at_rows
from models.contracts.counting import Counting
from models.contracts.elsewhere import Elsewhere, found_elsewhere
from models.contracts.result_codes import CODES, FAIL, NOT_APPLICABLE, PASS, not_passed
from models.contracts.rule_table import LATENCY_NEED, RulesOf, known_of
from models.contracts.rulebook import Rulebook
from models.contracts.sessionless import Sessionless
from models.side_messages import (
    CallsToJudge,
    Checked,
    CheckRow,
    CompletedCalls,
    ContractFailure,
    GroupName,
    JudgedCalls,
    Uses,
)

Late = tuple[RulesOf, int, Elsewhere]
"""A rule that a record completes what it needs for, by its place, and what it finds."""


class BatchJudgement:
    """What contracts make of the call records of one batch; see `models.side_messages.JudgedBatch`."""

    def __init__(
        self, book: Rulebook, assigned: Iterable[tuple[RulesOf, I64 | None]], calls: CallsToJudge, found: Found
    ) -> None:
        """Judge each record as the first one of its call; `assigned`: by which contracts which of them, None: all."""
        self._book, self._calls, self._texts = book, calls, found.texts
        each = list(assigned)
        self.blocks = [block_of(rules, rows, calls, found, book) for rules, rows in each]
        self._sessionless = Sessionless((one for one in each if one[0].over_sessions), calls)
        self._late: dict[int, list[Late]] = {}
        self.states: Bools = np.zeros(len(calls.at), np.bool_)
        for block in self.blocks:
            if len(block.places):
                severe = ((block.codes == FAIL) & block.rules.severe).any(axis=1)
                self.states[block.places[severe]] = True

    @cached_property
    def may_state(self) -> Bools:
        """Per record, whether it might be a failure where it completes a call."""
        may = np.zeros(len(self._calls.at), np.bool_)
        # A latency may also follow from the times of two records.
        filled = self._calls.filled | LATENCY_NEED
        for needs in self._book.severe_needs:
            may |= filled & needs == needs
        return may

    def failures(self, record: int) -> list[ContractFailure]:
        """The violations of a first record that are failures of its call; one for each contract."""
        found = []
        for block in self.blocks:
            index = block.index_of(record)
            if index >= 0:
                (failed,) = ((block.codes[index] == FAIL) & block.rules.severe).nonzero()
                results = [block.result(index, at, self._calls.records[record], self._book) for at in failed.tolist()]
                found += _failure(block.rules, results)
        return found

    def completing(self, record: int, group: GroupName, at: int, had: int, latency_ms: float) -> list[ContractFailure]:
        """The same of a record that completes a call: of the rules that had lacked something, and lack nothing now."""
        failed: dict[str, tuple[RulesOf, list[RuleResult]]] = {}
        for rules, place, found in self._completing(record, group, at, had, latency_ms):
            if found.result.result == "fail" and rules.severe[place]:
                failed.setdefault(rules.contract.name, (rules, []))[1].append(found.result)
        return [failure for rules, results in failed.values() for failure in _failure(rules, results)]

    def checked(self, first: JudgedCalls, completing: CompletedCalls) -> Checked:
        """All results, of records that were accepted."""
        counting, accepted, disagreed = Counting(first), Accepted(first.record, len(self._calls.at)), 0
        rows: list[CheckRow] = []
        uses: list[Uses] = []
        for block in self.blocks if len(first.at) else ():
            calls = None if block.rows is None else accepted.among(block.rows)
            if calls is not None and not len(calls):
                continue
            uses.append(_uses(block.rules, at_rows(first.at, calls)))
            if not len(block.places):
                counting.add_passing(block.rules.number, calls)
                continue
            indices, others = accepted.calls_at(block.places)
            codes = block.codes[indices]
            counting.add(block.rules.number, calls, others, codes)
            rows += self._rows_of(block, codes, indices, first, others)
            if block.disagreed:
                disagreed += sum(block.disagreed.get(index, 0) for index in indices.tolist())
        self._sessionless.add(counting, accepted)
        if self._book.is_kept[NOT_APPLICABLE]:
            rows += self._sessionless.rows(first, accepted)
        if len(completing.at):
            disagreed += self._add_late(counting, rows, completing)
        return Checked(rows, self._book.table.names, counting.deltas(), uses, disagreed)

    def _rows_of(self, block: Block, codes: I8, indices: I64, first: JudgedCalls, calls: I64) -> list[CheckRow]:
        """Rows of the results to keep; `codes` of these indices in `places` of the block, `calls` in `first`."""
        if not self._book.kept:
            return []
        is_kept = self._book.is_kept
        at, rule = is_kept[codes].nonzero() if is_kept[PASS] else not_passed(codes)
        kept = is_kept[codes[at, rule]]
        at, rule = at[kept], rule[kept]
        index, calls = indices[at], calls[at]
        columns = index, rule, self._calls.records[block.places[index]], first.at[calls], first.group[calls]
        said, names, result_of, book = block.rules.said, first.names, block.result, self._book
        return [
            _row(record.call_id, call_at, names[group], said[of], result_of(one, of, record, book))
            for one, of, record, call_at, group in zip(*(column.tolist() for column in columns), strict=True)
        ]

    def _add_late(self, counting: Counting, rows: list[CheckRow], completing: CompletedCalls) -> int:
        """Results of the records that complete calls; returns how many the producer found otherwise."""
        disagreed = 0
        columns = (completing.record, completing.group, completing.at, completing.minute, completing.had)
        for call, (record, group, at, minute, had) in enumerate(zip(*(c.tolist() for c in columns), strict=True)):
            latency_ms = float(completing.latency_ms[call])
            for rules, place, found in self._completing(record, completing.names[group], at, had, latency_ms):
                code = CODES[found.result.result]
                counting.add_late(group, minute, at, int(rules.number[place]), code)
                disagreed += found.disagreed
                if found.result.result in self._book.kept and found.result.result != "not_applicable":
                    call_id, name = self._calls.records[record].call_id, completing.names[group]
                    rows.append(_row(call_id, at, name, rules.said[place], found.result))
        return disagreed

    def _completing(self, record: int, group: GroupName, at: int, had: int, latency_ms: float) -> list[Late]:
        known = self._late.get(record)
        if known is None:
            known = self._late[record] = list(self._judge_late(record, group, at, had, latency_ms))
        return known

    def _judge_late(self, record: int, group: GroupName, at: int, had: int, latency_ms: float) -> Iterable[Late]:
        own = int(self._calls.filled[record]) | (0 if math.isnan(latency_ms) else int(LATENCY_NEED))
        call: Mapping[str, Any] | None = None
        for rules in self._book.judging(group, at):
            needs = rules.needs
            (due,) = ((needs & known_of(had) != needs) & (needs & np.uint32(own) == needs)).nonzero()
            for place in due.tolist():
                if call is None:
                    call = self._completed(record, group, at, latency_ms)
                yield rules, place, self._found_late(rules, place, record, call)

    def _found_late(self, rules: RulesOf, place: int, record: int, call: Mapping[str, Any]) -> Elsewhere:
        rule = rules.rules[place]
        if place not in rules.elsewhere:
            return Elsewhere(judge_rule(rule, Facts(call)))
        texts = None if self._texts is None else self._texts[record]
        return found_elsewhere(rules.contract, rule, self._calls.records[record], texts, self._book.plain)

    def _completed(self, record: int, group: GroupName, at: int, latency_ms: float) -> Mapping[str, Any]:
        """A record as it completes its call: at the call's time, under the names that this counts under."""
        task_type, model, config = group
        names = {"task_type": task_type, "model": model, "config": config, "occurred_at": format_time(at)}
        latency = {} if math.isnan(latency_ms) else {"latency_ms": latency_ms}
        return {**self._book.plain(self._calls.records[record]), **names, **latency}


def _row(call_id: str, at: int, group: GroupName, said: tuple[str, ...], result: RuleResult) -> CheckRow:
    """A row; `said` of the rule, see `RulesOf`. The result as far as the rule has not said it."""
    return CheckRow._make((call_id, at, group, *said, *result[2:]))


def _failure(rules: RulesOf, results: Sequence[RuleResult]) -> list[ContractFailure]:
    """The violations of one contract as one failure; none without violations."""
    if not results:
        return []
    reason = "; ".join(f"{result.rule}: {result.details}" for result in results)
    return [ContractFailure(CONTRACT_PREFIX + rules.contract.label, reason[:MAX_LONG_TEXT])]


def _uses(rules: RulesOf, at: I64) -> Uses:
    first, last = int(np.minimum.reduce(at)), int(np.maximum.reduce(at))
    return Uses(rules.contract.name, rules.contract.version, len(at), first, last)
