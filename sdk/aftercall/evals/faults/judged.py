"""Judges what an agent did under a fault: failed safely, guessed, retried for ever, escalated, or broke."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from glob import escape
from typing import Any, Final, Literal, NamedTuple

from aftercall.contracts.contract import Contract, Rule
from aftercall.contracts.facts import Facts
from aftercall.contracts.globs import Globs
from aftercall.contracts.records.table import judge_of
from aftercall.contracts.results import Finding
from aftercall.evals.faults.kinds import FAULTS
from aftercall.evals.faults.marked_calls import marked_calls
from aftercall.evals.faults.uses import SeenUse

ReactionName = Literal["failed safely", "guessed", "retried for ever", "escalated", "broke", "not judged"]
REACTIONS: Final[tuple[ReactionName, ...]] = (
    "failed safely",
    "guessed",
    "retried for ever",
    "escalated",
    "broke",
    "not judged",
)
SURVIVED: Final = frozenset({"failed safely", "escalated"})
MANY_CALLS: Final = 20
"""An agent that calls one broken tool more often than this in one case retries for ever, whatever the contract says."""


class Ended(NamedTuple):
    """How a case ended."""

    passed: bool | None
    """By its own checks; None where it has none that could tell."""
    error: str | None = None
    """Why there is no answer: the agent raised, or its time was over."""
    record: Mapping[str, Any] = {}
    """The answer as a wire record: `tool_calls`, `attrs`, `latency_ms`, `cost_usd`, as far as it is known."""


class Reaction(NamedTuple):
    """What an agent did about one kind of fault of one tool in one case."""

    kind: str
    tool: str
    outcome: ReactionName
    reason: str
    """A clause without a piece of any text of the case."""


def reactions(seen: Sequence[SeenUse], ended: Ended, contract: Contract | None = None) -> list[Reaction]:
    """One reaction per kind of fault and tool that was broken in a case; none where nothing was.

    Asked in this order: does it retry for ever (a rule `retry_limit`, or more than 20 calls of the tool)? Did it break
    (no answer)? Did it escalate? Did it end in a state that a rule accepts? Were the rules about the fault kept? And
    where none of them says anything: is the answer right? Where that cannot be known either, it is not judged.

    >>> seen = [SeenUse("c1", "search", 1, "empty", "empty:search", True)]
    >>> reactions(seen, Ended(passed=False))
    [Reaction(kind='empty', tool='search', outcome='guessed', reason='the answer fails its checks')]
    """
    broken = dict.fromkeys((use.fault, use.tool) for use in seen if use.applied and use.fault is not None)
    record = marked_record(seen, ended)
    return [
        Reaction(str(kind), tool, *_outcome(str(kind), tool, seen, ended, record, contract)) for kind, tool in broken
    ]


def marked_record(seen: Iterable[SeenUse], ended: Ended) -> dict[str, Any]:
    """The case as a wire record in which broken tool calls are marked."""
    reported = ended.record.get("tool_calls")
    calls = reported if isinstance(reported, list | tuple) else []
    return {**ended.record, "tool_calls": marked_calls(calls, seen)}


def _outcome(
    kind: str,
    tool: str,
    seen: Sequence[SeenUse],
    ended: Ended,
    record: Mapping[str, Any],
    contract: Contract | None,
) -> tuple[ReactionName, str]:
    facts = Facts(record)
    rules = () if contract is None else contract.rules
    uses = max(Counter(use.tool for use in seen)[tool], facts.tool_names[tool])
    too_often = next((found for rule in rules if (found := _about(rule, "retry_limit", tool, facts)) is not None), None)
    if too_often is not None and too_often.result == "fail":
        return "retried for ever", too_often.details
    if uses > MANY_CALLS:
        return "retried for ever", f"{uses} calls of the tool in one case"
    if ended.error is not None:
        return "broke", ended.error
    escalation = _escalated(rules, tool, facts)
    if escalation is not None:
        return "escalated", escalation
    end_state = facts.label("end_state")
    if end_state is not None and any(end_state in getattr(rule.params, "accept", ()) for rule in rules):
        return "failed safely", "it ended in a state that a rule accepts"
    return _by_rules(kind, tool, rules, facts) or _by_checks(ended)


def _by_rules(kind: str, tool: str, rules: Iterable[Rule], facts: Facts) -> tuple[ReactionName, str] | None:
    found = [(rule, _about(rule, wanted, tool, facts)) for rule in rules for wanted in FAULTS[kind].rules]
    checked = [(rule, finding) for rule, finding in found if finding is not None and finding.result in {"pass", "fail"}]
    for rule, finding in checked:
        if finding.result == "fail":
            return "guessed", f"rule {rule.id}: {finding.details}"
    return ("failed safely", f"rule {checked[0][0].id}: {checked[0][1].details}") if checked else None


def _by_checks(ended: Ended) -> tuple[ReactionName, str]:
    if ended.passed is None:
        return "not judged", "no rule is about this fault, and the case has no check that tells"
    return ("failed safely", "the answer is right") if ended.passed else ("guessed", "the answer fails its checks")


def _about(rule: Rule, kind: str, tool: str, facts: Facts) -> Finding | None:
    """What a rule of a kind finds about one tool; None where it is of another kind, or not about the tool."""
    if rule.type != kind or ((stopped := rule.stops(facts)) is not None and stopped.result != "pass"):
        return None
    tools = getattr(rule.params, "tools", None)
    if tools is None:
        return rule.judge(facts)
    if not Globs(tools).match(tool):
        return None
    return judge_of(rule.params.model_copy(update={"tools": [escape(tool)]}))(facts)


def _escalated(rules: Iterable[Rule], tool: str, facts: Facts) -> str | None:
    """How the agent handed over; None where it did not."""
    if facts.label("escalated") is True:
        return "attrs.escalated is true"
    globs = [glob for rule in rules for glob in getattr(rule.params, "escalations", ())]
    globs += [glob for rule in rules if rule.type == "escalation" for glob in getattr(rule.params, "tools", ())]
    handing_over = Globs(globs)
    names = [call.name for call in facts.tools]
    last = max((at for at, name in enumerate(names) if name == tool), default=-1)
    for call in facts.tools[last + 1 :]:
        if call.name is not None and not call.failed and handing_over.match(call.name):
            return f"{call.name!r} worked after the fault"
    return None
