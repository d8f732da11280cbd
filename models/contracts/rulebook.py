"""Holds all versions of all contracts as they are judged by, and finds those in force for a call."""

from __future__ import annotations

from typing import Final

import numpy as np

from aftercall.contracts.contract import Contract
from aftercall.contracts.contract_set import ContractSet
from aftercall.contracts.results import RESULTS
from models.arrays import Bools
from models.contracts.rule_table import RulesOf, RuleTable
from models.contracts.tool_paths import AsMapping, RecordRules
from models.side_messages import GroupName

KEPT: Final = {"none": frozenset[str](), "failed": frozenset({"fail", "error"}), "all": frozenset(RESULTS)}
"""By the setting `snapshot.checks`: of which results rows are kept."""


class Rulebook:
    """All contracts, the numbers of their rules, and what remembers the results of like records."""

    def __init__(self, contracts: ContractSet, plain: AsMapping, verdict: str, keep: str) -> None:
        """`verdict`: a key of `rule_table.SEVERITIES`; `keep`: of `KEPT`."""
        self.contracts, self.plain, self.kept = contracts, plain, KEPT[keep]
        self.is_kept: Bools = np.array([result in self.kept for result in RESULTS], np.bool_)
        """Of which results rows are kept, by code."""
        self.keeps_passes = "pass" in self.kept
        self.table = RuleTable(contracts, verdict)
        self.severe_needs = self.table.severe_needs()
        self._by_record: dict[Contract, RecordRules] = {}

    def judging(self, group: GroupName, at: int) -> tuple[RulesOf, ...]:
        """The rules that judge a call of a group at a time, by the names of their contracts."""
        return tuple(map(self.table.of, self.contracts.judging(*group, at)))

    def by_record(self, rules: RulesOf) -> RecordRules:
        """What judges the rules of a contract that are judged record by record."""
        known = self._by_record.get(rules.contract)
        if known is None:
            chosen = tuple(rules.rules[place] for place in rules.by_record)
            known = self._by_record[rules.contract] = RecordRules(chosen, self.plain)
        return known
