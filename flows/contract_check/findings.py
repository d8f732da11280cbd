"""Counts what each rule found over past calls, and where it failed first."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple

from aftercall.contracts.contract import Contract, Rule
from aftercall.contracts.contract_set import ContractSet
from aftercall.contracts.engine import judge
from aftercall.contracts.results import RuleResult
from aftercall.contracts.session_calls import Excerpts, SessionCourse, SessionTimes, rules_over_sessions
from aftercall.contracts.sessions import SessionJudge
from flows.contract_check.code_rules import CodeRules
from flows.contract_check.past_calls import PastCall

MOST_PLACES: Final = 5
_MOST_REASONS: Final = 50
_OTHERS: Final = "other reasons"


class Failed(NamedTuple):
    """Where a rule failed, and what it said."""

    file: str
    line: int
    details: str


class InOrder(NamedTuple):
    """A call that waits for its session: what judges it then, and what of it."""

    judges: list[SessionJudge]
    excerpt: dict[str, Any]
    call: PastCall


Waiting = tuple[int, int, str, InOrder]
"""When it is due, when it occurred, and its id, in this order."""


@dataclass
class RuleFindings:
    """What one rule of one version found."""

    contract: Contract
    rule: Rule
    results: Counter[str] = field(default_factory=Counter)
    reasons: dict[str, Counter[str]] = field(default_factory=dict)
    """By `not_applicable` and `error`: how often each reason."""
    places: list[Failed] = field(default_factory=list)
    failed: list[str] = field(default_factory=list)
    """`call_id` of the calls that failed, and of those that passed."""
    passed: list[str] = field(default_factory=list)

    def add(self, found: RuleResult, call: PastCall) -> None:
        """Count one result."""
        self.results[found.result] += 1
        if found.passed is None:
            reasons = self.reasons.setdefault(found.result, Counter())
            known = found.details in reasons or len(reasons) < _MOST_REASONS
            reasons[found.details if known else _OTHERS] += 1
            return
        (self.passed if found.passed else self.failed).append(call.record["call_id"])
        if not found.passed and len(self.places) < MOST_PLACES:
            self.places.append(Failed(call.file, call.line, found.details))


class Findings:
    """What all rules found; `judged` counts calls per version, `groups` all calls."""

    def __init__(self, contracts: ContractSet, times: SessionTimes) -> None:
        """`times`: when the calls of sessions are judged."""
        self._contracts, self._times = contracts, times
        self._code = CodeRules(contracts)
        self._rules = {(one, rule.id): RuleFindings(one, rule) for one in contracts for rule in one.rules}
        self._sessions = {one: SessionJudge(one) for one in contracts if rules_over_sessions(one)}
        self._excerpts = Excerpts(rule for judge in self._sessions.values() for rule in judge.rules)
        self._waiting: dict[str, list[Waiting]] = {}
        self.judged: Counter[Contract] = Counter()
        self.calls_by_group: dict[tuple[str, str, str], list[str]] = {}

    def add(self, call: PastCall) -> None:
        """Judge one call by the versions that are for it; rules over sessions wait for `finish`."""
        self.calls_by_group.setdefault(call.group, []).append(call.record["call_id"])
        judging = self._contracts.judging(*call.group, call.at_us)
        for contract in judging:
            self.judged[contract] += 1
            results = self._code.judged(contract, judge(contract, call.record), call.record)
            self._count(contract, results, call)
        self._add_to_session([self._sessions[one] for one in judging if one in self._sessions], call)

    def finish(self) -> None:
        """Judge the sessions, each in the order of its calls."""
        for waiting in self._waiting.values():
            course = SessionCourse()
            for due_us, at_us, _, one in sorted(waiting, key=lambda each: each[:3]):
                for of, found in course.judge(one.judges, one.excerpt, at_us, due_us, self._times):
                    self._count(of.contract, found, one.call)
        self._waiting.clear()

    def _add_to_session(self, judges: list[SessionJudge], call: PastCall) -> None:
        """Let a call wait for its session; those without one, or under another version, have no rule to wait for."""
        seen = call.in_session
        judging = () if seen is None else self._contracts.judging(*call.group, seen.at_us)
        apply = [one for one in judges if one.contract in judging]
        for one in judges:
            if one not in apply:
                self._count(one.contract, one.judge({}, {}), call)
        if seen is not None and apply:
            light = call._replace(record={"call_id": call.record["call_id"]}, in_session=None)
            in_order = InOrder(apply, self._excerpts.of(seen.record), light)
            place = seen.due_us, seen.at_us, call.record["call_id"], in_order
            self._waiting.setdefault(seen.record["session_id"], []).append(place)

    def __iter__(self) -> Iterator[RuleFindings]:
        """The rules in the order of contracts and rules."""
        return iter(self._rules.values())

    def _count(self, contract: Contract, results: Iterable[RuleResult], call: PastCall) -> None:
        for found in results:
            self._rules[contract, found.rule].add(found, call)
