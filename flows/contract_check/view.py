"""Prints the report of `aftercall contract check` for people."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from rich.console import Console
from rich.text import Text

from aftercall.printable import printable
from flows.reports.words import counted, interval, percent, scope_name

_MOST_GROUPS: Final = 12
_MOST_REASONS: Final = 4


def print_check(report: dict[str, Any], console: Console) -> None:
    """Print the result of `check`."""
    for line in _lines(report):
        console.print(Text(printable(line)), soft_wrap=True)


def _lines(report: dict[str, Any]) -> Iterator[str]:
    refused = sum(report["refused"].values())
    reasons = ", ".join(f"{reason} {count:,}" for reason, count in report["refused"].items())
    yield counted(report["calls"], "call") + (f"; {counted(refused, 'record')} refused ({reasons})" if refused else "")
    for contract in report["contracts"]:
        yield ""
        yield f"{contract['contract']}@{contract['version']}: {counted(contract['judged'], 'call')} judged"
        for rule in contract["rules"]:
            yield from _rule(rule)
    yield from _groups(report["groups"])


def _rule(rule: dict[str, Any]) -> Iterator[str]:
    name = f"  {rule['rule']} ({rule['type']}, {rule['severity']})"
    if rule["checked"]:
        share = f"{percent(rule['share'])}, {interval(rule['share_low'], rule['share_high'])}"
        yield f"{name}: {rule['failed']:,} of {rule['checked']:,} checked calls violate it ({share})"
    else:
        yield f"{name}: no call could be checked"
    for key, words in (("not_applicable", "not applicable"), ("errors", "in error")):
        found = sorted(rule[key].items(), key=lambda one: -one[1])
        for reason, count in found[:_MOST_REASONS]:
            yield f"    {count:,} {words}: {reason}"
        if len(found) > _MOST_REASONS:
            yield f"    and {len(found) - _MOST_REASONS} more reasons (--json has them all)"
    for place in rule["places"]:
        yield f"    {place['file']}, line {place['line']}: {place['details']}"
    if rule["worth"] is not None and rule["failed"]:
        yield f"    worth: {rule['worth']['words']}"


def _groups(groups: list[dict[str, Any]]) -> Iterator[str]:
    if not groups:
        return
    yield ""
    yield "With violations as failures of their calls, success rates:"
    for group in sorted(groups, key=lambda one: -one["violations"])[:_MOST_GROUPS]:
        yield f"  {scope_name(group['task_type'], group['model'], group['config'])}: {group['words']}"
    if len(groups) > _MOST_GROUPS:
        yield f"  and {len(groups) - _MOST_GROUPS} more groups (--json has them all)"
