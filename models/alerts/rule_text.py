"""Names rules of contracts in sentences."""

from __future__ import annotations

from models.alarms.alarm import Alarm, RuleChange


def rule_text(metric: str) -> str:
    """A rule within a sentence, from its metric.

    >>> rule_text("refund.asks-first")
    "rule 'asks-first' of contract 'refund'"
    """
    contract, _, rule = metric.rpartition(".")
    return f"rule '{rule}' of contract '{contract}'"


def rate_text(metric: str) -> str:
    """How often a rule is violated, at the beginning of a sentence; a metric of no rule is its own name.

    >>> rate_text("refund.fast"), rate_text("score:a.b")
    ("Violation rate of rule 'fast' of contract 'refund'", 'score:a.b')
    """
    return f"Violation rate of {rule_text(metric)}" if "." in metric and ":" not in metric else metric


def violations_since(alarm: Alarm) -> str:
    """How many calls have violated a rule since its rate changed, in a sentence; empty of other metrics."""
    if not isinstance(alarm.details, RuleChange):
        return ""
    failed, checked = (round(alarm.evidence[name]) for name in ("failures_since", "trials_since"))
    return f" {failed:,} of {checked:,} checked call{'' if checked == 1 else 's'} violated it since then."
