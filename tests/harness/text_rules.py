"""Contracts of rules on texts, and what they find."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from aftercall.contracts.contract import Contract
from aftercall.contracts.results import RuleResult
from aftercall.contracts.syntax import contract_of
from aftercall.contracts.texts.text_pass import TextPass


def contract(*rules: dict[str, Any], **head: Any) -> Contract:
    """A contract of these rules, whose ids are `rule-0`, `rule-1` and so on unless they have one."""
    numbered = [{"id": f"rule-{place}", **rule} for place, rule in enumerate(rules)]
    return contract_of({"contract": "texts", "version": "1", "rule": numbered, **head}, "texts.toml")


def judged(
    rule: dict[str, Any], output: str | None = None, given: str | None = None, redact: Sequence[str] | None = None
) -> RuleResult:
    """What one rule finds in the texts of one call."""
    (result,) = TextPass(contract(rule), redact=redact).results(given, output)
    return result
