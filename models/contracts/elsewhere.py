"""Gathers what rules found elsewhere: in texts that the lane saw, and at the producer."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final, NamedTuple

from aftercall.contracts.contract import Contract, Rule
from aftercall.contracts.engine import judge_rule
from aftercall.contracts.facts import Facts
from aftercall.contracts.results import CHECKED, RuleResult, TextResults
from models.contracts.tool_paths import AsMapping

UNKNOWN_CONTRACT: Final = "unknown contract"
"""The reason where a producer has checked another version than the one that judges the call."""


class Elsewhere(NamedTuple):
    """What one rule found in a record, and whether the producer says the opposite."""

    result: RuleResult
    disagreed: bool = False


def found_elsewhere(
    contract: Contract, rule: Rule, record: Any, texts: Sequence[TextResults] | None, plain: AsMapping
) -> Elsewhere:
    """The result of a rule on texts, or of one that runs at the producer.

    What the lane found stands; where it saw no text, what the producer found, if it has the same version.
    """
    own = _of_lane(contract, rule, texts)
    sent = _of_producer(contract, rule, record.checks)
    if own is not None and (own.result != "not_applicable" or sent is None):
        both = sent is not None and {own.result, sent.result} == CHECKED
        return Elsewhere(own, disagreed=both)
    return Elsewhere(sent or _nothing(rule, record, plain))


def has_any(record: Any, texts: Sequence[TextResults] | None) -> bool:
    """Whether anything was found elsewhere in a record."""
    return bool(texts) or bool(record.checks)


def _of_lane(contract: Contract, rule: Rule, texts: Sequence[TextResults] | None) -> RuleResult | None:
    for some in texts or ():
        if (some.contract, some.version) == (contract.name, contract.version):
            return next((result for result in some.results if result.rule == rule.id), None)
    return None


def _of_producer(contract: Contract, rule: Rule, checks: Sequence[Any] | None) -> RuleResult | None:
    """The check of the version that judges, else the word that it is another one; None without one."""
    of_rule = [check for check in checks or () if (check.contract, check.rule) == (contract.name, rule.id)]
    for check in of_rule:
        if check.hash == contract.hash:
            return RuleResult(rule.id, rule.type, check.result, check.actual, check.threshold, check.details or "")
    return RuleResult(rule.id, rule.type, "not_applicable", details=UNKNOWN_CONTRACT) if of_rule else None


def _nothing(rule: Rule, record: Any, plain: AsMapping) -> RuleResult:
    """Why it could not be judged: by its conditions, else for want of a text, or of a check."""
    if rule.room == "code":
        return judge_rule(rule, Facts(plain(record)))
    missing = " and ".join(sorted(rule.params.needs)) or "text"
    absent = RuleResult(rule.id, rule.type, "not_applicable", details=f"no {missing} was sent")
    return judge_rule(rule, Facts(plain(record)), absent)
