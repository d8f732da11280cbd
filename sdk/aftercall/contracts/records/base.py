"""Defines what functions of the kinds share: they are made once per rule, and then judge call after call."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Final

from aftercall.contracts.facts import NO_TOOLS, Facts
from aftercall.contracts.results import Finding, in_error, not_applicable
from aftercall.printable import printable

Judge = Callable[[Facts], Finding]
NAMELESS: Final = "a tool call has no name"
_SHOWN: Final = 60
_KEPT: Final = 256


def on_tools(judge: Judge) -> Judge:
    """The same for calls whose tool calls can be looked at; for others the reason why not."""

    @wraps(judge)
    def judged(facts: Facts) -> Finding:
        unread = facts.tools_unread
        if unread is None:
            return judge(facts)
        return not_applicable(unread) if unread == NO_TOOLS else in_error(unread)

    return judged


def shown(name: str | None) -> str:
    """A name of the call in a sentence: of bounded length, without line breaks and controls."""
    return "without a name" if name is None else f"'{printable(name[:_SHOWN])}'"


def kept(name: str | None) -> str | None:
    """A name of the call as the `actual` of a result: of bounded length, without what a terminal would execute."""
    return None if name is None else printable(name[:_KEPT])[:_KEPT]


def amount(value: float) -> str:
    """A number in a sentence.

    >>> amount(9721679.0), amount(0.25)
    ('9721679', '0.25')
    """
    return f"{value:.10g}"


def any_of(names: list[str]) -> str:
    """Names of the rule in a sentence."""
    text = ", ".join(names[:5])
    return f"{text} and {len(names) - 5} more" if len(names) > 5 else text
