"""Finds rules that can never do anything: for CI, before a contract is put to work."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

from aftercall.contracts.contract import Contract, Rule
from aftercall.contracts.globs import Globs
from aftercall.contracts.params.columns import OutputLength
from aftercall.contracts.params.texts import ProhibitedTopics, RequiredTopics, RestrictedData, Safety
from aftercall.contracts.params.tool_path import AllowedTools, DeniedTools, RequiredTools, RetryLimit

_COUNTS = (*range(1, 100), 1000, 1e6)
_GROUP = {"task_type": "tasks", "model": "models", "config": "configs"}


class Remark(NamedTuple):
    """What is odd about a rule; `idle`: it can never apply, or never have a result but `error`."""

    place: str
    rule: str
    text: str
    idle: bool

    @property
    def sentence(self) -> str:
        """The remark as one line: file, rule, what is odd, remedy."""
        return f"{self.place}, rule {self.rule!r}: {self.text}"

    def to_dict(self) -> dict[str, Any]:
        """The remark as JSON has it."""
        return {"file": self.place, "rule": self.rule, "idle": self.idle, "remark": self.text}


def lint(contract: Contract) -> list[Remark]:
    """What is odd about the rules of a contract, in their order."""
    denied = [(rule, Globs(rule.params.tools)) for rule in contract.rules if isinstance(rule.params, DeniedTools)]
    found: list[Remark] = []
    for rule in contract.rules:
        texts = [(text, True) for text in (*_never_applies(contract, rule), *_nothing_to_do(rule))]
        texts += [(text, False) for text in (*_never_fails(rule), *_against(rule, denied))]
        found += [Remark(contract.place, rule.id, text, idle) for text, idle in texts]
    return found


def _never_applies(contract: Contract, rule: Rule) -> Iterator[str]:
    for condition in rule.when.conditions:
        if not condition.can_hold:
            yield f"when: no number is {condition.wanted} (it can never apply: widen the range)"
        key = _GROUP.get(condition.field)
        if key is not None and not any(map(Globs(getattr(contract, key)).match, condition.values)):
            yield f"when: no {condition.field} of {key} is {condition.words} (it can never apply: correct one of them)"
        if condition.field == "tool_calls" and "tool" in rule.when.fields and not any(map(condition.takes, _COUNTS)):
            yield "when: a call without tool calls has called no tool (it can never apply: remove one condition)"


def _nothing_to_do(rule: Rule) -> Iterator[str]:
    params = rule.params
    if isinstance(params, OutputLength) and params.min is None and params.max is None:
        yield "it has nothing to compare with (it can only be in error: set min or max)"
    if isinstance(params, ProhibitedTopics | RequiredTopics | Safety) and not (params.patterns or _phrases(params)):
        yield "it has nothing to look for (it can only be in error: set topics or patterns)"
    if isinstance(params, RestrictedData) and not (params.detect or params.patterns):
        yield "it has nothing to look for (it can only be in error: set detect or patterns)"


def _never_fails(rule: Rule) -> Iterator[str]:
    if isinstance(rule.params, AllowedTools) and "*" in rule.params.tools:
        yield "it allows every tool (it can never fail)"
    if isinstance(rule.params, RetryLimit) and rule.params.calls == 0:
        yield "it allows no call of its tools at all (denied_tools says it better)"


def _against(rule: Rule, denied: list[tuple[Rule, Globs]]) -> Iterator[str]:
    """Tools that this rule requires and another one denies: no call can keep both."""
    if isinstance(rule.params, RequiredTools):
        for other, globs in denied:
            for tool in rule.params.tools:
                if not set("*?[") & set(tool) and globs.match(tool) and not other.when.fields:
                    yield f"it requires {tool!r}, which rule {other.id!r} denies (no call can keep both)"


def _phrases(params: ProhibitedTopics | RequiredTopics | Safety) -> bool:
    return any(params.topics.values())
