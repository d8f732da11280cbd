"""Judges the records of a batch that one contract judges: numbers as columns, the rest record by record."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final, NamedTuple

import numpy as np

from aftercall.contracts.engine import judge_rule
from aftercall.contracts.facts import Facts
from aftercall.contracts.results import RuleResult
from models.arrays import I8, I32, I64, Objects
from models.contracts.columns import all_pass, column_results
from models.contracts.elsewhere import found_elsewhere, has_any
from models.contracts.result_codes import CODES, NOT_APPLICABLE, PASS
from models.contracts.rule_table import RulesOf
from models.contracts.rulebook import Rulebook
from models.contracts.tool_paths import Records, Results
from models.side_messages import CallsToJudge, ToolPaths

_NO_KINDS: Final = np.zeros(0, np.int32)
_NO_PLACES: Final = np.zeros(0, np.int64)


class Found(NamedTuple):
    """What lanes have found in the calls of a batch: results on their texts, and numbers for their tool calls."""

    texts: Objects | None = None
    paths: ToolPaths | None = None


class Block(NamedTuple):
    """What one contract makes of some records of a batch. Mostly all pass all rules: only others have a place here.

    Attributes:
        rules: of the contract.
        rows: which records, by place in the batch, ascending; None: all.
        places: of those that may not pass all rules, in the batch, ascending; all, where results of passes are kept.
        codes: their results, shape (places, rules); see `rule_table`.
        kinds: of them, by what rules read that judge record by record; empty without such rules.
        alike: results of each kind.
        found: results by index in `places` and of the rule; others are found again where they are asked for.
        disagreed: how many rules of a record the producer found otherwise, by index in `places`.
    """

    rules: RulesOf
    rows: I64 | None
    places: I64
    codes: I8
    kinds: I32
    alike: Sequence[Results]
    found: dict[tuple[int, int], RuleResult]
    disagreed: dict[int, int]

    def index_of(self, record: int) -> int:
        """The index of a record in `places`; -1 where it is not among them."""
        index = int(np.searchsorted(self.places, record))
        return index if index < len(self.places) and self.places[index] == record else -1

    def result(self, index: int, at: int, record: object, book: Rulebook) -> RuleResult:
        """What the rule `at` found in the record that has this index in `places`."""
        if at in self.rules.by_record:
            of_kind: Results = self.alike[self.kinds[index]]
            return of_kind[self.rules.by_record.index(at)]
        known = self.found.get((index, at))
        if known is not None:
            return known
        rule = self.rules.rules[at]
        if at in self.rules.elsewhere:
            return found_elsewhere(self.rules.contract, rule, record, None, book.plain).result
        return judge_rule(rule, Facts(book.plain(record)))


def block_of(rules: RulesOf, rows: I64 | None, calls: CallsToJudge, found: Found, book: Rulebook) -> Block:
    """Judge the records at `rows`; None: all, of which there are some."""
    if rows is None and not (rules.by_record or rules.elsewhere or book.keeps_passes) and all_pass(rules.bounds, calls):
        return Block(rules, None, _NO_PLACES, np.zeros((0, len(rules.rules)), np.int8), _NO_KINDS, (), {}, {})
    columns = ((at, column_results(rules.rules[at], calls, rows)) for at in rules.in_columns)
    failing = [(at, codes) for at, codes in columns if codes is not None]
    kinds, by_record = _NO_KINDS, None
    if rules.by_record:
        by_record = book.by_record(rules)
        kinds = by_record.kinds(Records.of(calls, rows, found.paths))
    if rules.elsewhere or book.keeps_passes:
        chosen = np.arange(len(calls.at) if rows is None else len(rows))
    else:
        others = [codes != PASS for _, codes in failing] + ([] if by_record is None else [by_record.others[kinds]])
        chosen = np.logical_or.reduce(others).nonzero()[0] if others else _NO_PLACES
    codes = np.full((len(chosen), len(rules.rules)), PASS, np.int8)
    for at, results in failing:
        codes[:, at] = results[chosen]
    if by_record is not None:
        kinds = kinds[chosen]
        codes[:, rules.by_record] = by_record.codes[kinds]
    places, alike = chosen if rows is None else rows[chosen], [] if by_record is None else by_record.found
    block = Block(rules, rows, places, codes, kinds, alike, {}, {})
    if rules.elsewhere:
        _judge_elsewhere(block, calls.records[places].tolist(), found.texts, book)
    return block


def _judge_elsewhere(block: Block, records: list[Any], texts: Objects | None, book: Rulebook) -> None:
    contract, of_lane = block.rules.contract, [None] * len(records) if texts is None else texts[block.places].tolist()
    block.codes[:, block.rules.elsewhere] = NOT_APPLICABLE
    for index, (record, found) in enumerate(zip(records, of_lane, strict=True)):
        if not has_any(record, found):
            continue
        for at in block.rules.elsewhere:
            result, disagreed = found_elsewhere(contract, block.rules.rules[at], record, found, book.plain)
            block.codes[index, at], block.found[index, at] = CODES[result.result], result
            if disagreed:
                block.disagreed[index] = block.disagreed.get(index, 0) + 1
