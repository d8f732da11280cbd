"""Prints how often rules of contracts pass, beside the success rate."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from rich.console import Console
from rich.text import Text

from flows.reports.fitting import Column, fitted
from flows.reports.insights_rules import RuleInsight
from flows.reports.words import bare, percent

MOST_RULES: Final = 10
"""Rules that are listed without `--evidence`."""


def show_rules(rules: Sequence[RuleInsight], console: Console, most: int | None = MOST_RULES) -> None:
    """Print the contract rate of a task type, and its rules, those violated most first; nothing without rules."""
    if not rules:
        return
    console.print()
    console.print(Text(rate_line(rules)))
    checked = [one for one in rules if one.baseline.checked or one.current.checked]
    shown = checked[:most]
    if shown:
        console.print(
            fitted(
                [(one.name,) for one in shown],
                ("rule",),
                [
                    Column("before", [bare(one.baseline.rate) for one in shown], least=50),
                    Column("now", [bare(one.current.rate) for one in shown]),
                    Column("change", [_change(one) for one in shown], left=True),
                    Column("violations", [f"{one.current.failed:,}" for one in shown], least=60),
                    Column("checked", [f"{one.current.checked:,}" for one in shown], least=70),
                ],
                console.width,
                ["red" if one.separated and (one.delta or 0) < 0 else None for one in shown],
            )
        )
    if len(checked) > len(shown):
        console.print(f"and {len(checked) - len(shown):,} more (--evidence and --json have them all)")
    for line in _unchecked(rules, len(rules) - len(checked)):
        console.print(Text(line, "yellow"))


def rate_line(rules: Sequence[RuleInsight]) -> str:
    """The share of all checks that pass: every checked call counts, answered or not."""
    before, now = (
        (sum(side.passed for side in sides), sum(side.checked for side in sides))
        for sides in ([one.baseline for one in rules], [one.current for one in rules])
    )
    rates = [None if not checked else passed / checked for passed, checked in (before, now)]
    return (
        f"Contract rate {percent(rates[0])} -> {percent(rates[1])} of checks pass, {now[1]:,} now; of each rule, in %:"
    )


def _change(rule: RuleInsight) -> str:
    if rule.delta is None:
        return "" if rule.current.checked else "no checks now"
    certain = "" if rule.separated else ", not certain"
    return f"{100 * rule.delta:+.1f}{certain}"


def _unchecked(rules: Sequence[RuleInsight], never: int) -> list[str]:
    lines = [f"{never:,} of {len(rules):,} rules have checked no call (--json has them)."] if never else []
    errors = sum(one.current.errors for one in rules)
    if errors:
        lines.append(f"{errors:,} results now are errors of the rules themselves, and count as no check.")
    return lines
