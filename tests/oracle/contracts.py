"""What contracts make of a call, one rule at a time: which judge it, what they find, and what they state.

Each kind of rule is written down here again, in a line; only the words of a reason are those of the engine.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from aftercall.contracts.contract_set import ContractSet
from aftercall.contracts.engine import judge_rule
from aftercall.contracts.facts import Facts
from aftercall.contracts.syntax import contract_of
from aftercall.times import format_time

if TYPE_CHECKING:
    from collections.abc import Iterable

    from oracle.records import Call
    from oracle.session_checks import OracleSessionRule

NEEDS = {
    "latency": {"latency_ms"},
    "cost": {"cost_usd"},
    "output_length": {"tokens"},
    "denied_tools": {"tool_calls"},
    "safe_end_state": {"attrs"},
}
Key = tuple[str, str, str]
"""Contract, version, rule."""


@dataclass(frozen=True)
class OracleRule:
    """One rule; `bound` is its maximum, the tools that it denies or the end states that it allows."""

    id: str
    kind: str
    bound: Any
    severity: str = "critical"
    tier: str | None = None
    """It applies to calls whose label `tier` is this one."""

    @property
    def needs(self) -> set[str]:
        """The fields without which it says nothing."""
        return NEEDS[self.kind] | ({"attrs"} if self.tier else set())

    def result(self, said: Mapping[str, Any]) -> str:
        """What it finds in what was said of a call."""
        labels = said.get("attrs") or {}
        if self.tier is not None and labels.get("tier") != self.tier:
            return "not_applicable"
        value = {
            "latency": said.get("latency_ms"),
            "cost": said.get("cost_usd"),
            "output_length": said.get("tokens_out"),
            "denied_tools": said["tool_calls"] if isinstance(said.get("tool_calls"), list) else None,
            "safe_end_state": labels.get("end_state"),
        }[self.kind]
        if value is None:
            return "not_applicable"
        if self.kind == "denied_tools":
            return "fail" if any(tool["name"] in self.bound for tool in value) else "pass"
        if self.kind == "safe_end_state":
            return "pass" if value in self.bound else "fail"
        return "pass" if value <= self.bound else "fail"


@dataclass(frozen=True)
class OracleContract:
    """One version of a contract, for calls of a task type (None: of all) from `start` on."""

    name: str
    version: str
    rules: tuple[OracleRule, ...]
    task: str | None = None
    start: int | None = None
    session_rules: tuple[OracleSessionRule, ...] = ()
    """Judged by `oracle.session_checks`; none applies to a call without a session."""

    def content(self) -> dict[str, Any]:
        """As a file has it."""
        parameter = {"denied_tools": "tools", "safe_end_state": "allowed"}
        rules = [
            {
                "id": rule.id,
                "type": rule.kind,
                "severity": rule.severity,
                parameter.get(rule.kind, "max"): list(rule.bound) if isinstance(rule.bound, tuple) else rule.bound,
                **({"when": {"attrs.tier": rule.tier}} if rule.tier else {}),
            }
            for rule in self.rules
        ]
        rules += [rule.content() for rule in self.session_rules]
        since = {} if self.start is None else {"effective_from": format_time(self.start)}
        tasks = {} if self.task is None else {"tasks": [self.task]}
        return {"contract": self.name, "version": self.version, **since, **tasks, "rule": rules}


def contract_set(contracts: Iterable[OracleContract]) -> ContractSet:
    """The contracts as the pipeline reads them."""
    return ContractSet(contract_of(one.content(), f"{one.name}-{one.version}") for one in contracts)


def in_force(contracts: Iterable[OracleContract], call: Call) -> list[OracleContract]:
    """Of each contract the version with the newest start at or before the call, if it takes the call's task type."""
    newest: dict[str, OracleContract] = {}
    for one in contracts:
        start, best = one.start, newest.get(one.name)
        if start is not None and start > call.at:
            continue
        if best is None or (start is not None and (best.start is None or start > best.start)):
            newest[one.name] = one
    return [one for _, one in sorted(newest.items()) if one.task in {None, call.task_type}]


def had(call: Call, *, lists_tools: bool) -> set[str]:
    """The fields that a call has; `lists_tools`: its first record says how many tools it called, if any."""
    fields = ("error", "session_id", "latency_ms", "cost_usd", "tokens", "attrs", "attempts")
    filled = {name for name in fields if getattr(call, name) not in (None, {}, ())}
    return filled | call.unkept | ({"tool_calls"} if lists_tools else set())


def said(call: Call, latency_ms: float | None) -> dict[str, Any]:
    """What a record says that rules read."""
    raw = call.raw or {}
    tokens = raw.get("tokens_out")
    values = {
        "latency_ms": latency_ms,
        "cost_usd": call.cost_usd,
        "tokens_out": None if tokens is None else int(tokens),
        "tool_calls": raw.get("tool_calls"),
        "attrs": dict(call.attrs or {}),
    }
    return {name: value for name, value in values.items() if value is not None}


def words(contract: OracleContract, rule: OracleRule, record: Mapping[str, Any]) -> str:
    """The engine's words for a result; the result is the same."""
    (read,) = (one for one in contract_of(contract.content(), "").rules if one.id == rule.id)
    found = judge_rule(read, Facts(record))
    assert found.result == rule.result(record), (rule, record, found)
    return found.details
