"""Defines what a rule found about a call: one of four results, with its reason."""

from __future__ import annotations

from typing import Final, Literal, NamedTuple

Result = Literal["pass", "fail", "not_applicable", "error"]
RESULTS: Final[tuple[Result, ...]] = ("pass", "fail", "not_applicable", "error")
CHECKED: Final = frozenset({"pass", "fail"})
"""Only these count as checked; the others are counted apart, and never as a pass."""
MAX_DETAILS: Final = 256


class RuleResult(NamedTuple):
    """What one rule found about one call.

    `details` is a sentence without a piece of any text of the call; of what is not applicable and of errors it is the
    reason. `actual` and `threshold` are what was compared, where there is such a thing.
    """

    rule: str
    type: str
    result: Result
    actual: float | str | None = None
    threshold: float | str | None = None
    details: str = ""

    @property
    def passed(self) -> bool | None:
        """True or False where the rule was checked, else None.

        >>> RuleResult("fast", "latency", "fail").passed, RuleResult("fast", "latency", "error").passed
        (False, None)
        """
        return self.result == "pass" if self.result in CHECKED else None


class Finding(NamedTuple):
    """A result without the names of its rule, as the functions of the kinds give it."""

    result: Result
    details: str = ""
    actual: float | str | None = None
    threshold: float | str | None = None

    def of(self, rule: str, kind: str) -> RuleResult:
        """The same with the rule's id and type; `details` has at most `MAX_DETAILS` characters."""
        return RuleResult(rule, kind, self.result, self.actual, self.threshold, self.details[:MAX_DETAILS])


def passes(details: str, actual: float | str | None = None, threshold: float | str | None = None) -> Finding:
    """The rule is kept."""
    return Finding("pass", details, actual, threshold)


def fails(details: str, actual: float | str | None = None, threshold: float | str | None = None) -> Finding:
    """The rule is broken."""
    return Finding("fail", details, actual, threshold)


def not_applicable(reason: str) -> Finding:
    """The rule says nothing about this call, for this reason."""
    return Finding("not_applicable", reason)


def in_error(reason: str) -> Finding:
    """The rule itself cannot judge, for this reason, which says what to set."""
    return Finding("error", reason)


class TextResults(NamedTuple):
    """What the rules on texts of one version of a contract found in one record, in the order of the rules."""

    contract: str
    version: str
    results: tuple[RuleResult, ...]
