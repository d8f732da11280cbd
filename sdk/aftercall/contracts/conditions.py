"""Reads and evaluates `when`: to which calls a rule applies.

`when` is a table of fields and what each must be; all must hold. A value is text, a number or a bool (equal), a list of
these (one of them), or a range, a text such as `"> 4000"` or `">= 10, < 20"`. The fields are those of `FIELDS`, `tool`
(one of the call's tool calls has a name that the glob matches), and `attrs.NAME`.
"""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Mapping
from typing import Any, Final

from aftercall.contracts.facts import TOO_MANY_TOOLS, Facts, number_of
from aftercall.contracts.globs import Globs, refuse_bad_glob
from aftercall.contracts.results import Finding, in_error, not_applicable

TEXTS: Final = ("task_type", "model", "config", "segment", "session_id", "parent_call_id", "policy_version")
NUMBERS: Final = ("latency_ms", "cost_usd", "tokens_in", "tokens_out", "tokens", "tool_calls")
FIELDS: Final = (*TEXTS, *NUMBERS, "error", "tool")
"""What `when` can ask for, beside labels: `error` is true or false, `tool_calls` how many there were."""
LABEL: Final = "attrs."
MAX_CONDITIONS: Final = 16

Scalar = str | float | bool
_TEST = re.compile(r"\s*(>=|<=|>|<)\s*(-?[0-9]+(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?)\s*")
_OPERATORS: Final[dict[str, Callable[[float, float], bool]]] = {
    ">=": operator.ge,
    "<=": operator.le,
    ">": operator.gt,
    "<": operator.lt,
}


class Condition:
    """One field of `when`, and what it must be."""

    def __init__(self, field: str, wanted: object) -> None:
        """Read one entry.

        Raises:
            ValueError: the field is unknown, or it can never be what is wanted; one clause.
        """
        self.field, self.wanted = field, wanted
        if field not in FIELDS and not (field.startswith(LABEL) and field != LABEL):
            raise ValueError(f"{field!r} is no field that `when` knows (take attrs.NAME, {', '.join(FIELDS)})")
        self._range = _range(wanted) if field in NUMBERS or field.startswith(LABEL) else ()
        self._one_of = tuple(wanted) if isinstance(wanted, list | tuple) else (wanted,)
        if not self._range:
            self._refuse_impossible()
        self._globs = Globs(str(glob) for glob in self._one_of) if field == "tool" else None
        self.words: Final = str(wanted) if self._range else " or ".join(map(_shown, self._one_of))

    def unmet(self, facts: Facts) -> str | None:
        """Why it does not hold for a call, without a value of the call; None where it holds."""
        if self._globs is not None:
            if facts.tools_unread:
                return f"when: {facts.tools_unread}"
            held = any(tool.name is not None and self._globs.match(tool.name) for tool in facts.tools)
            return None if held else f"when: no tool called is {self.words}"
        value = _value(facts, self.field)
        if value is None:
            return f"when: the call has no {self.field}"
        return None if self._holds(value) else f"when: {self.field} is not {self.words}"

    @property
    def values(self) -> tuple[str, ...]:
        """The texts that the field may be; empty for a range."""
        return tuple(one for one in self._one_of if isinstance(one, str) and not self._range)

    def takes(self, number: float) -> bool:
        """Whether a number is what it wants."""
        return self._holds(number)

    @property
    def can_hold(self) -> bool:
        """Whether any number is in its range; True where it is none.

        >>> Condition("tokens_in", "> 10, < 5").can_hold, Condition("tokens_in", ">= 5, <= 5").can_hold
        (False, True)
        """
        bounds = [bound for _, bound in self._range]
        between = [(low + high) / 2 for low in bounds for high in bounds]
        beyond = [bound + step for bound in bounds for step in (-1 - abs(bound), 1 + abs(bound))]
        return not bounds or any(map(self.takes, [*between, *beyond]))

    def _holds(self, value: Scalar) -> bool:
        if self._range:
            number = number_of(value)
            return number is not None and all(test(number, bound) for test, bound in self._range)
        # True == 1 in Python, not here.
        return any(value == one and isinstance(value, bool) == isinstance(one, bool) for one in self._one_of)

    def _refuse_impossible(self) -> None:
        if not self._one_of:
            raise ValueError(f"{self.field} must be one of an empty list, which no call is (name a value)")
        for one in self._one_of:
            if not _fits(self.field, one):
                raise ValueError(
                    f"{self.field} can never be {_shown(one)} (write {_EXAMPLES.get(self.field, _TEXTUAL)})"
                )
            if self.field == "tool":
                refuse_bad_glob(str(one))


def _fits(field: str, value: object) -> bool:
    """Whether a field can ever be equal to a value."""
    if field == "error":
        return isinstance(value, bool)
    if field in NUMBERS:
        return number_of(value) is not None
    if field in {*TEXTS, "tool"}:
        return isinstance(value, str)
    return isinstance(value, str | bool) or number_of(value) is not None


_TEXTUAL: Final = 'a text, such as "refund"'
_EXAMPLES: Final = dict.fromkeys(NUMBERS, 'a number, or a range such as "> 4000"') | {"error": "true or false"}


class When:
    """All conditions of one rule."""

    def __init__(self, entries: Mapping[str, object]) -> None:
        """Read the table `when`.

        Raises:
            ValueError: an entry is wrong, or there are more than 16.
        """
        if len(entries) > MAX_CONDITIONS:
            raise ValueError(f"may have at most {MAX_CONDITIONS} fields; got {len(entries)}")
        self.conditions = tuple(Condition(field, wanted) for field, wanted in entries.items())
        self.fields = tuple(entries)
        self.reads = frozenset(name for field in entries for name in _fields_of(field))
        self.needs = frozenset(
            name for field in entries for name in _fields_of(field) if field not in {"error", "tokens"}
        )

    def unmet(self, facts: Facts) -> str | None:
        """Why the rule does not apply to a call; None where it does."""
        for condition in self.conditions:
            reason = condition.unmet(facts)
            if reason is not None:
                return reason
        return None

    def stops(self, facts: Facts) -> Finding | None:
        """The result where the rule does not apply, or that cannot be known; None where it applies."""
        reason = self.unmet(facts)
        if reason is None:
            return None
        return in_error(reason) if reason.endswith(TOO_MANY_TOOLS) else not_applicable(reason)


def _fields_of(field: str) -> tuple[str, ...]:
    """The fields of the wire that a condition reads."""
    if field == "tokens":
        return ("tokens", "tokens_in", "tokens_out")
    return ("attrs",) if field.startswith(LABEL) else ("tool_calls",) if field == "tool" else (field,)


def _value(facts: Facts, field: str) -> Scalar | None:
    if field.startswith(LABEL):
        return facts.label(field.removeprefix(LABEL))
    if field == "error":
        return facts.failed
    if field == "tool_calls":
        return facts.tool_count
    if field == "tokens":
        return facts.tokens
    return facts.number(field) if field in NUMBERS else facts.text(field)


def _range(wanted: object) -> tuple[tuple[Callable[[float, float], bool], float], ...]:
    """The tests of a range such as "> 4000"; empty where it is none."""
    if not isinstance(wanted, str) or not wanted.lstrip().startswith((">", "<")):
        return ()
    tests = [_TEST.fullmatch(part) for part in wanted.split(",")]
    if None in tests:
        raise ValueError(f'{wanted!r} is no range (write it like "> 4000" or ">= 10, < 20")')
    return tuple((_OPERATORS[test[1]], float(test[2])) for test in tests if test is not None)


def _shown(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else repr(value)[:60]
