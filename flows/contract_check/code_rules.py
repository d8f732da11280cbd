"""Runs the rules of the user's own code over past calls, each at most a second."""

from __future__ import annotations

import sys
import threading
from collections import Counter
from collections.abc import Mapping
from queue import Empty, SimpleQueue
from typing import Any, Final

import msgspec

from aftercall.contracts.code import RUN_S, TOO_LONG, Function, function_of, run
from aftercall.contracts.contract import Contract, Rule
from aftercall.contracts.contract_set import ContractSet
from aftercall.contracts.facts import Facts
from aftercall.contracts.params.code import PythonRule
from aftercall.contracts.results import Finding, RuleResult, in_error

MOST_TOO_LONG: Final = 5
"""A function that took too long so often is not run again."""
_Task = tuple[Function, Mapping[str, Any], "SimpleQueue[Finding]"]


class CodeRules:
    """The functions of all `python` rules, on one thread beside, which is replaced where one does not return."""

    def __init__(self, contracts: ContractSet, most_s: float = RUN_S) -> None:
        """Import the functions; modules in the current folder are found, as with `python -m`.

        Raises:
            ContractError: a function cannot be imported.
        """
        rules = [(one, rule) for one in contracts for rule in one.rules if isinstance(rule.params, PythonRule)]
        if rules and "" not in sys.path:
            sys.path.insert(0, "")
        self._functions = {rule: function_of(_path(rule), f"{one.place}, rule {rule.id!r}") for one, rule in rules}
        self._most_s = most_s
        self._tasks: SimpleQueue[_Task] | None = None
        self._too_long: Counter[Rule] = Counter()

    def judged(self, contract: Contract, results: list[RuleResult], record: Mapping[str, Any]) -> list[RuleResult]:
        """The results with those of `python` rules in their places."""
        if not any(rule in self._functions for rule in contract.rules):
            return results
        facts, call = Facts(record), msgspec.to_builtins(record)
        rules = {rule.id: rule for rule in contract.rules if rule in self._functions}
        return [self._judge(rules[one.rule], facts, call) if one.rule in rules else one for one in results]

    def _judge(self, rule: Rule, facts: Facts, call: Mapping[str, Any]) -> RuleResult:
        found = rule.stops(facts) or self._run(rule, call)
        return found.of(rule.id, rule.type)

    def _run(self, rule: Rule, call: Mapping[str, Any]) -> Finding:
        if self._too_long[rule] >= MOST_TOO_LONG:
            return in_error(f"{TOO_LONG}, {MOST_TOO_LONG} times, and was not run again")
        answer: SimpleQueue[Finding] = SimpleQueue()
        self._thread().put((self._functions[rule], call, answer))
        try:
            return answer.get(timeout=self._most_s)
        except Empty:
            self._too_long[rule] += 1
            self._tasks = None  # That thread is busy, perhaps forever.
            return in_error(TOO_LONG)

    def _thread(self) -> SimpleQueue[_Task]:
        if self._tasks is None:
            self._tasks = SimpleQueue()
            threading.Thread(target=_work, args=(self._tasks,), name="contract-check", daemon=True).start()
        return self._tasks


def _path(rule: Rule) -> str:
    return rule.params.function if isinstance(rule.params, PythonRule) else ""


def _work(tasks: SimpleQueue[_Task]) -> None:
    while True:
        function, call, answer = tasks.get()
        answer.put(run(function, call))
