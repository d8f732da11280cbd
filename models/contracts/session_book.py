"""Judges the calls of sessions, one after the other, by the rules over sessions of all contracts."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from aftercall.contracts.contract import Contract
from aftercall.contracts.contract_set import ContractSet
from aftercall.contracts.results import RuleResult
from aftercall.contracts.session_calls import Excerpts, SessionCourse, SessionTimes, fill, rules_over_sessions
from aftercall.contracts.sessions import SessionJudge
from models.contracts.rule_table import checked_rule
from models.contracts.rulebook import KEPT
from models.side_messages import CheckedRule, GroupName, SessionFinding

_MOST_KNOWN = 65_536
_Named = tuple[CheckedRule, str, str]


class SessionRulebook:
    """The rules over sessions of all versions of all contracts; as `models.sessions` asks them."""

    def __init__(self, contracts: ContractSet, times: SessionTimes, keep: str = "failed") -> None:
        """`times`: when calls are judged; `keep`: as for `ContractJudge`."""
        self._contracts, self._times = contracts, times
        self._judges = {one: SessionJudge(one) for one in contracts if rules_over_sessions(one)}
        self._named = {
            one: [(checked_rule(one, rule), rule.type, rule.severity) for rule in judge.rules]
            for one, judge in self._judges.items()
        }
        self._excerpts = Excerpts(rule for one in self._judges for rule in rules_over_sessions(one))
        self._kept = KEPT[keep]
        self._may: dict[GroupName, bool] = {}

    def may_judge(self, group: GroupName) -> bool:
        """Whether there are rules for calls of a group, at any time."""
        known = self._may.get(group)
        if known is None:
            if len(self._may) >= _MOST_KNOWN:
                self._may.clear()
            known = self._may[group] = any(one.matches(*group) for one in self._judges)
        return known

    def excerpt(self, record: object, group: GroupName) -> dict[str, Any]:
        """What they read of a decoded record, as plain values, under the names that count."""
        excerpt = self._excerpts.of(record)
        for name, counted in zip(("task_type", "model", "config"), group, strict=True):
            if name in excerpt:
                excerpt[name] = counted
        return excerpt

    def fill(self, first: dict[str, Any], later: dict[str, Any]) -> None:
        """Fill in what a later record of a call has and the first one lacks."""
        fill(first, later)

    def judge(
        self, course: dict[str, Any], group: GroupName, excerpt: dict[str, Any], at: int, now: int
    ) -> list[tuple[SessionFinding, ...]]:
        """What they find about the next call of a session, by version. Some 10 us for a version of one rule."""
        judging = self._judging(group, at)
        if not judging:
            return []
        found = SessionCourse(course).judge([self._judges[one] for one in judging], excerpt, at, now, self._times)
        return [self._findings(self._named[judge.contract], results) for judge, results in found]

    def _judging(self, group: GroupName, at: int) -> list[Contract]:
        return [one for one in self._contracts.judging(*group, at) if one in self._judges]

    def _findings(self, named: Sequence[_Named], results: list[RuleResult]) -> tuple[SessionFinding, ...]:
        return tuple(
            SessionFinding(
                *rule, found.result, found.actual, found.threshold, found.details, found.result in self._kept
            )
            for rule, found in zip(named, results, strict=True)
        )
