"""Judges one call by the contracts that are in effect at its time; on a thread of the background."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, NamedTuple

from pydantic import ValidationError

from aftercall.capture.draft import MOST_JUDGED, Draft
from aftercall.capture.event import call_event, texts_of
from aftercall.capture.verification import CheckResult, Judgement
from aftercall.contracts.contract import Contract, Rule
from aftercall.contracts.contract_set import ContractSet
from aftercall.contracts.engine import judge
from aftercall.contracts.facts import Facts
from aftercall.contracts.results import Finding, RuleResult, in_error
from aftercall.events import AgentCall
from aftercall.vocabulary import MAX_CHECKS
from aftercall.wire_parts import Check

SENT: Final = frozenset({"text", "code"})
"""Rules whose results are sent: all others the pipeline judges itself."""
_TEXTS: Final = ("input", "output")
_NS_PER_US: Final = 1000


class Checked(NamedTuple):
    """What a rule of a contract found."""

    contract: Contract
    rule: Rule
    result: RuleResult


class Judging:
    """A call and what its rules found; those of the user's own code are put in when they have run."""

    def __init__(self, event: dict[str, Any], record: Mapping[str, Any], found: list[Checked]) -> None:
        self.event, self.record, self._found = event, record, found
        facts = Facts(record)
        self.to_run = [at for at, one in enumerate(found) if one.rule.room == "code" and one.rule.stops(facts) is None]
        """Places of rules of the user's own code that apply."""

    def rule(self, at: int) -> Checked:
        """What was found at a place."""
        return self._found[at]

    def put(self, at: int, finding: Finding) -> None:
        """What a rule of the user's own code found; the first finding counts."""
        if at in self.to_run:
            contract, rule, _ = self._found[at]
            self._found[at] = Checked(contract, rule, finding.of(rule.id, rule.type))
            self.to_run.remove(at)

    def judgement(self) -> Judgement:
        """For the program."""
        checks = tuple(map(_check, self._found))
        verdicts = {check.passed for check in checks} - {None}
        passed = None if not verdicts else False not in verdicts
        return Judgement(
            self.event["call_id"], passed, tuple(check for check in checks if check.passed is False), checks
        )

    def event_with_checks(self, *, text: bool) -> dict[str, Any]:
        """For the wire. What the user's own code says in words is sent only where texts are."""
        sent = [one for one in self._found if one.rule.room in SENT][:MAX_CHECKS]
        if sent:
            self.event["checks"] = [_wire(one, words=text or one.rule.room != "code") for one in sent]
        return self.event


def judge_call(contracts: ContractSet, draft: Draft) -> Judging:
    """Make the event of a call, and judge it by all rules but those of the user's own code.

    Raises:
        TypeError: no event can be made of the call.
    """
    event = call_event(draft)
    record = _as_read(event)
    record |= {name: text for name, text in texts_of(draft, draft.fields or {}).items() if isinstance(text, str)}
    task_type, model, config = (str(record.get(name, "")) for name in ("task_type", "model", "config"))
    found = [
        Checked(contract, rule, _unless_cut(rule, record, result))
        for contract in contracts.judging(task_type, model, config, draft.at_ns // _NS_PER_US)
        for rule, result in zip(judged_rules(contract), judge(contract, record), strict=True)
    ]
    return Judging(event, record, found)


def judged_rules(contract: Contract) -> list[Rule]:
    """The rules that have a result for each call: all but those over sessions."""
    return [rule for rule in contract.rules if rule.room != "session"]


def _as_read(event: dict[str, Any]) -> dict[str, Any]:
    """The call as the pipeline reads it: names plain, labels that are too long left out."""
    try:
        return AgentCall.model_validate(event).model_dump(exclude_none=True, exclude={*_TEXTS})
    except ValidationError:  # the emitter drops it, counts it and says where it is from
        return {name: value for name, value in event.items() if name not in _TEXTS}


def _unless_cut(rule: Rule, record: Mapping[str, Any], result: RuleResult) -> RuleResult:
    """An error where the rule would judge a text that is not whole."""
    if rule.room != "text" or result.passed is None:
        return result
    for name in _TEXTS:
        if name in rule.reads and len(record.get(name) or "") > MOST_JUDGED:
            return in_error(f"the {name} has more than {MOST_JUDGED:,} characters").of(rule.id, rule.type)
    return result


def _check(one: Checked) -> CheckResult:
    contract, rule, result = one
    named = (contract.name, contract.version, contract.hash, rule.id, rule.type, rule.severity)
    return CheckResult(*named, result.result, result.actual, result.threshold, result.details)


def _wire(one: Checked, *, words: bool) -> dict[str, Any]:
    contract, rule, result = one
    check = {
        "contract": contract.name,
        "version": contract.version,
        "hash": contract.hash,
        "rule": rule.id,
        "result": result.result,
    }
    more = {"actual": result.actual, "threshold": result.threshold, "details": result.details if words else None}
    whole = check | {name: value for name, value in more.items() if value not in {None, ""}}
    try:
        Check.model_validate(whole)
    except ValidationError:  # such as half a character in a name: no call is lost for the words of its checks
        return check
    return whole
