"""Counts calls without a session, to which no rule over sessions applies; of all others the session step finds more."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np

from aftercall.vocabulary import FILLED_ONCE
from models.arrays import I64
from models.contracts.accepted import Accepted
from models.contracts.columns import at_rows
from models.contracts.counting import Counting
from models.contracts.result_codes import NOT_APPLICABLE
from models.contracts.rule_table import RulesOf
from models.side_messages import CallsToJudge, CheckRow, JudgedCalls

WITHOUT_SESSION = "the call has no session_id"
"""As `aftercall.contracts.sessions` has it."""
_SESSION_BIT = np.uint32(1 << FILLED_ONCE.index("session_id"))


class Sessionless:
    """The records of a batch that have no session, by the contracts that have rules over sessions."""

    def __init__(self, assigned: Iterable[tuple[RulesOf, I64 | None]], calls: CallsToJudge) -> None:
        """`assigned`: these contracts, each with the places of the records that it judges, None: all."""
        self._calls = calls
        self._without = [(rules, self._places(rows)) for rules, rows in assigned]

    def _places(self, rows: I64 | None) -> I64:
        without = at_rows(self._calls.filled, rows) & _SESSION_BIT == 0
        return np.flatnonzero(without) if rows is None else rows[without]

    def add(self, counting: Counting, accepted: Accepted) -> None:
        """Count those that are first records of calls."""
        for rules, places in self._without:
            _, calls = accepted.calls_at(places)
            if len(calls):
                codes = np.full((len(calls), len(rules.over_sessions)), NOT_APPLICABLE, np.int8)
                counting.add(rules.session_number, calls, calls, codes)

    def rows(self, first: JudgedCalls, accepted: Accepted) -> Iterator[CheckRow]:
        """Rows of them."""
        for rules, places in self._without:
            indices, calls = accepted.calls_at(places)
            for record, call in zip(places[indices].tolist(), calls.tolist(), strict=True):
                yield from self._rows_of(rules, self._calls.records[record].call_id, first, call)

    def _rows_of(self, rules: RulesOf, call_id: str, first: JudgedCalls, call: int) -> Iterator[CheckRow]:
        at, group, contract = first.at.item(call), first.names[first.group.item(call)], rules.contract
        for rule in rules.over_sessions:
            named = contract.name, contract.version, rule.id, rule.type, rule.severity
            yield CheckRow(call_id, at, group, *named, "not_applicable", None, None, WITHOUT_SESSION)
