"""Judges one call by one contract: exactly one result per rule, and never an exception."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from aftercall.contracts.contract import Contract, Rule
from aftercall.contracts.facts import Facts
from aftercall.contracts.results import RuleResult, in_error


def judge(contract: Contract, call: Mapping[str, Any], *, texts: bool = True) -> list[RuleResult]:
    """What each rule of a contract but those over sessions finds about a call, in the order of the rules.

    Costs microseconds per rule, and at most milliseconds whatever the call holds.

    Args:
        contract: the version that judges the call.
        call: a wire record: the fields of `AgentCall`, of any type. Nothing of it is changed.
        texts: whether rules on texts are judged here; else they are left out, as where the lane has judged them.

    >>> from aftercall.contracts.syntax import contract_of
    >>> rules = [{"id": "fast", "type": "latency", "max": 2000}, {"id": "short", "type": "output_length", "max": 500}]
    >>> contract = contract_of({"contract": "refund", "version": "1", "rule": rules}, "refund.toml")
    >>> [(found.rule, found.result, found.details) for found in judge(contract, {"latency_ms": 2310})]
    [('fast', 'fail', '2310 ms, more than 2000'), ('short', 'not_applicable', 'the call has no tokens_out')]
    """
    facts = Facts(call)
    rules = [rule for rule in contract.rules if rule.room != "session" and (texts or rule.room != "text")]
    on_texts = _text_results(contract, facts) if any(rule.room == "text" for rule in rules) else {}
    return [judge_rule(rule, facts, on_texts.get(rule.id)) for rule in rules]


def judge_rule(rule: Rule, facts: Facts, on_text: RuleResult | None = None) -> RuleResult:
    """What one rule finds about a call; never an exception.

    Args:
        rule: of any kind but those over sessions.
        facts: the call.
        on_text: what it found in the texts, where it is a rule on these: it stands where `when` holds.
    """
    try:
        stopped = rule.stops(facts)
        if stopped is None and on_text is not None:
            return on_text
        return (stopped or rule.judge(facts)).of(rule.id, rule.type)
    except Exception as wrong:  # noqa: BLE001 - a rule must never cost a call
        reason = f"the rule failed with {type(wrong).__name__}: a defect of aftercall, please report it"
        return in_error(reason).of(rule.id, rule.type)


def _text_results(contract: Contract, facts: Facts) -> dict[str, RuleResult]:
    """What the rules on texts find, by their ids, whether their `when` holds or not: all are one pass."""
    from aftercall.contracts.texts.text_pass import text_pass

    return {found.rule: found for found in text_pass(contract).results(facts.text("input"), facts.text("output"))}
