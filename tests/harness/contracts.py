"""Makes contracts of one rule, and calls, for tables of cases."""

from __future__ import annotations

from typing import Any

from aftercall.contracts.contract import Contract
from aftercall.contracts.engine import judge
from aftercall.contracts.results import RuleResult
from aftercall.contracts.syntax import contract_of


def contract(*rules: dict[str, Any], **head: Any) -> Contract:
    """A contract `c` of version 1 with these rules, whose ids are `r1`, `r2`, ... where they have none."""
    named = [{"id": f"r{at}", **rule} for at, rule in enumerate(rules, 1)]
    return contract_of({"contract": "c", "version": "1", "rule": named, **head}, "c.toml")


def judged(kind: str, params: dict[str, Any], call: dict[str, Any]) -> RuleResult:
    """What one rule finds about a call at noon of 2026-03-01."""
    (found,) = judge(contract({"type": kind, **params}), {"occurred_at": "2026-03-01T12:00:00Z", **call})
    return found


def tools(*calls: dict[str, Any]) -> dict[str, Any]:
    """A call with these tool calls."""
    return {"tool_calls": list(calls)}


def tool(name: str | None, **fields: Any) -> dict[str, Any]:
    """A tool call."""
    return {"name": name, **fields}
