"""Judges answers by rules of contracts, of every kind: an answer is a session of one call."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final

from aftercall.contracts.code import Function, function_of
from aftercall.contracts.code import run as run_code
from aftercall.contracts.contract import Contract, Rule
from aftercall.contracts.contract_set import ContractSet
from aftercall.contracts.engine import judge
from aftercall.contracts.facts import Facts
from aftercall.contracts.params.code import PythonRule
from aftercall.contracts.results import Finding, RuleResult
from aftercall.contracts.sessions import SessionJudge
from aftercall.contracts.syntax import contract_of
from aftercall.evals.results import Scored

COUNTING: Final = frozenset({"critical", "major"})
"""Violations of these severities fail a case; others are only listed."""
IN_CASE: Final = "check"
"""The name of a rule that stands in a case."""
RunCode = Callable[[Function, Mapping[str, Any]], Finding]
_LOCK = threading.Lock()


class ContractChecks:
    """All rules of one version of a contract, whatever its globs: it was named for these cases."""

    def __init__(self, contract: Contract, *, prefix: bool = True, run: RunCode = run_code) -> None:
        """Import the functions of its `python` rules.

        Args:
            contract: whose rules judge.
            prefix: whether results are named `contract.rule`; else `check`.
            run: what runs a function, such as one with a time limit.

        Raises:
            ContractError: a function cannot be imported.
        """
        self._contract, self._prefix, self._run = contract, prefix, run
        self._sessions = SessionJudge(contract)
        self._functions = {
            rule.id: function_of(rule.params.function, f"{contract.place}, rule {rule.id!r}")
            for rule in contract.rules
            if isinstance(rule.params, PythonRule)
        }

    def score(self, record: Mapping[str, Any]) -> list[Scored]:
        """One result per rule, in the order of the contract's rules.

        Args:
            record: as `Answer.record`.
        """
        with _LOCK:  # what a rule was compiled to is shared by all threads
            found = {one.rule: one for one in judge(self._contract, record)}
        found |= {one.rule: one for one in self._sessions.judge({}, record)}
        return [self._scored(rule, self._coded(rule, record) or found[rule.id]) for rule in self._contract.rules]

    def _coded(self, rule: Rule, record: Mapping[str, Any]) -> RuleResult | None:
        function = self._functions.get(rule.id)
        if function is None:
            return None
        return (rule.stops(Facts(record)) or self._run(function, record)).of(rule.id, rule.type)

    def _scored(self, rule: Rule, found: RuleResult) -> Scored:
        name = f"{self._contract.name}.{rule.id}" if self._prefix else rule.type
        score = None if found.passed is None else float(found.passed)
        return Scored(name, score, found.details, found.result == "error", rule.severity in COUNTING)


def newest(contracts: ContractSet) -> tuple[Contract, ...]:
    """Of each contract its newest version: that which would judge the calls of tomorrow."""
    return tuple({one.name: one for one in contracts}.values())


def checks_of(contracts: Iterable[Contract], run: RunCode = run_code) -> list[ContractChecks]:
    """What judges by these contracts.

    Raises:
        ContractError: a function of a rule cannot be imported.
    """
    return [ContractChecks(contract, run=run) for contract in contracts]


def check_in_case(given: Mapping[str, Any], place: str) -> ContractChecks:
    """A rule of a contract that stands in a case; it needs no `id`.

    Raises:
        ContractError: it is wrong; the sentence begins with `place`.
    """
    contract = contract_of({"contract": IN_CASE, "version": "1", "rule": [{"id": IN_CASE, **given}]}, place)
    return ContractChecks(contract, prefix=False)
