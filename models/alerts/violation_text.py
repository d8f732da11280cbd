"""Sentences of alerts on violations of contracts."""

from __future__ import annotations

from aftercall.times import MINUTE_US
from models.alerts.rule_text import rule_text
from models.alerts.scope import Scope
from models.alerts.sentences import scope_text, utc_text


def violations_text(
    metric: str, scope: Scope, counts: tuple[int, int], first: int, worst: tuple[Scope, int, int]
) -> str:
    """How many calls have violated a rule since minute `first`.

    Args:
        metric: of the rule.
        scope: what the violations have in common.
        counts: violations and checks within it.
        first: minute of the first violation.
        worst: the group with most violations, and its violations and checks.

    >>> large, small = ("refund", "large", "v1"), ("refund", "small", "v1")
    >>> print(violations_text("refund.asks-first", large, (1, 1), 0, (large, 1, 1)))  # doctest: +NORMALIZE_WHITESPACE
    1 of 1 checked call of task 'refund', model 'large', config 'v1' violated rule 'asks-first' of contract 'refund'
    since 1970-01-01 00:00 UTC.
    >>> print(violations_text("refund.asks-first", ("refund", None, "v1"), (9, 1200), 0, (small, 7, 400))[-66:])
    Most of them, 7 of 400: task 'refund', model 'small', config 'v1'.
    """
    failed, checked = counts
    calls = "call" if checked == 1 else "calls"
    said = (
        f"{failed:,} of {checked:,} checked {calls} of {scope_text(scope)} violated {rule_text(metric)} since "
        f"{utc_text(first * MINUTE_US)}."
    )
    group, most, of = worst
    if group == scope or 2 * most <= failed:
        return said
    return f"{said} Most of them, {most:,} of {of:,}: {scope_text(group)}."


def brief_violations(metric: str, failed: int, checked: int) -> str:
    """How many calls have violated a rule, beside the headline of another metric.

    >>> brief_violations("refund.fast", 12, 1300)
    "12 of 1,300 checked calls violated rule 'fast' of contract 'refund'"
    """
    return f"{failed:,} of {checked:,} checked call{'' if checked == 1 else 's'} violated {rule_text(metric)}"


def over_text(metric: str, said: str) -> str:
    """An alert's last sentence: there was no further violation.

    >>> over_text("refund.fast", "1 of 9 checked calls of ... violated it.")
    "Rule 'fast' of contract 'refund' was not violated for 24 h. 1 of 9 checked calls of ... violated it."
    """
    return f"R{rule_text(metric)[1:]} was not violated for 24 h. {said}"
