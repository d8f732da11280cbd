"""Turns a pact of Armalo into a contract, and says what could not be carried over.

A pact has `conditions`, objects with `type, operator, value, severity, verificationMethod`, and at times `unit` and
`description`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final, NamedTuple, get_args

from aftercall.contracts.contract import MAX_RULES, ContractError
from aftercall.contracts.facts import number_of
from aftercall.contracts.params.base import RuleSeverity
from aftercall.contracts.syntax import rule_of
from aftercall.errors import UserError

PlainRule = dict[str, Any]
Make = Callable[[str, object, object], PlainRule]
JURY: Final = "a jury judges it: judges come later, and run sampled"
OVER_CALLS: Final = "it is a rate over calls, not a property of one: aftercall measures success rates of all calls"
_LONGEST: Final = 200
_SEVERITIES: Final = frozenset(get_args(RuleSeverity))
_TIMES: Final = {"ms": 1, "milliseconds": 1, "s": 1000, "sec": 1000, "seconds": 1000}
_RATES: Final = frozenset(
    {"accuracy", "reliability", "uptime", "availability", "error_rate", "success_rate", "consistency"}
)


class Imported(NamedTuple):
    """The content of the contract, a comment per rule, and one sentence for what was lost or needs a hand."""

    content: dict[str, Any]
    comments: dict[str, str]
    lost: list[str]
    """Conditions, or parts of them, that the contract does not have."""
    to_do: list[str]
    """What must be added before a rule can be checked."""


class _NotCarriedError(UserError, ValueError):
    """Why a condition cannot be a rule."""


def import_pact(given: object, place: str) -> Imported:
    """A contract of the conditions of a pact.

    Args:
        given: the pact, or the list of its conditions, as parsed JSON.
        place: the file, for messages.

    Raises:
        UserError: it has no conditions.
    """
    pact = given.get("pact", given) if isinstance(given, Mapping) else {"conditions": given}
    conditions = pact.get("conditions") if isinstance(pact, Mapping) else None
    if not isinstance(conditions, list) or not conditions:
        raise UserError(f"{place}: must be a pact with a list of conditions; it has none (export it from Armalo again)")
    imported = Imported({"contract": _slug(pact.get("name"), "pact"), "version": "1", "rule": []}, {}, [], [])
    for at, condition in enumerate(conditions, 1):
        _add(imported, condition, at)
    return imported


def _add(imported: Imported, condition: object, at: int) -> None:
    given = condition if isinstance(condition, Mapping) else {}
    kind, severity = str(given.get("type", "without a type"))[:64], str(given.get("severity"))
    place = f"condition {at} ({kind})"
    rules = imported.content["rule"]
    if len(rules) >= MAX_RULES:
        imported.lost.append(f"{place}: not carried over: a contract has at most {MAX_RULES} rules")
        return
    name = _slug(kind, "rule")
    try:
        rule = {"id": name if name not in {one["id"] for one in rules} else f"{name}-{at}", **_rule(given, kind)}
        rule["severity"] = severity if severity in _SEVERITIES else "major"
        rule_of(rule, place)
    except (_NotCarriedError, ContractError) as why:
        imported.lost.append(f"{place}: not carried over: {why}")
        return
    rules.append(rule)
    if isinstance(given.get("description"), str):
        imported.comments[rule["id"]] = given["description"][:500]
    if severity not in _SEVERITIES:
        imported.lost.append(f"{place}: severity {_shown(given.get('severity'))} is none of ours: major")
    if rule["type"] == "safety":
        imported.to_do.append(f"{place}: rule {rule['id']!r} has nothing to look for, and is in error: add topics")


def _rule(given: Mapping[str, Any], kind: str) -> PlainRule:
    """The rule that a condition is, without id and severity."""
    if given.get("verificationMethod") == "jury":
        raise _NotCarriedError(JURY)
    if kind in _RATES:
        raise _NotCarriedError(OVER_CALLS)
    make = _KINDS.get(kind)
    if make is None:
        raise _NotCarriedError("no rule reads that (a python rule at the producer may)")
    return make(str(given.get("operator")), given.get("value"), given.get("unit"))


def _at_most(operator: str, value: object, factor: float = 1) -> float:
    number = number_of(value)
    if operator not in {"lte", "lt"} or number is None:
        raise _NotCarriedError(f"only `lte` a number is a bound of it; it has {operator} {_shown(value)}")
    return number * factor


def _latency(operator: str, value: object, unit: object) -> PlainRule:
    return {"type": "latency", "max": _at_most(operator, value, _TIMES[_unit(unit, _TIMES, "ms")])}


def _cost(operator: str, value: object, unit: object) -> PlainRule:
    _unit(unit, ("USD", "usd", "$"), "usd")
    return {"type": "cost", "max": _at_most(operator, value)}


def _length(operator: str, value: object, unit: object) -> PlainRule:
    known = _unit(unit, ("tokens", "characters", "words"), "tokens")
    if operator in {"gte", "gt"} and number_of(value) is not None:
        return {"type": "output_length", "min": number_of(value), "unit": known}
    return {"type": "output_length", "max": _at_most(operator, value), "unit": known}


def _format(operator: str, value: object, _: object) -> PlainRule:
    if operator == "eq" and value is True:
        return {"type": "format"}
    if operator == "eq" and str(value) in {"json", "markdown", "non_empty"}:
        return {"type": "format", "as": str(value)}
    raise _NotCarriedError(f"only `eq` json, markdown, non_empty or true is one; it has {operator} {_shown(value)}")


def _topics(kind: str, *operators: str) -> Make:
    return lambda operator, value, _: {
        "type": kind,
        "topics": {phrase[:64]: [phrase] for phrase in _names(operator, value, operators)},
    }


def _tools(kind: str, *operators: str) -> Make:
    return lambda operator, value, _: {
        "type": kind,
        "tools": [re.sub(r"([*?[])", r"[\1]", name) for name in _names(operator, value, operators)],
    }


def _safety(operator: str, value: object, _: object) -> PlainRule:
    if operator != "eq" or value is not True:
        raise _NotCarriedError(f"only `eq` true is one; it has {operator} {_shown(value)}")
    return {"type": "safety"}


_KINDS: Final[dict[str, Make]] = {
    "latency": _latency,
    "cost": _cost,
    "output_length": _length,
    "length": _length,
    "format": _format,
    "prohibited_topics": _topics("prohibited_topics", "excludes", "neq"),
    "required_topics": _topics("required_topics", "includes", "eq"),
    "allowed_tools": _tools("allowed_tools", "includes", "eq"),
    "denied_tools": _tools("denied_tools", "excludes", "neq"),
    "safety": _safety,
}


def _names(operator: str, value: object, operators: tuple[str, ...]) -> list[str]:
    """The texts of a condition that has a list of them, or one."""
    names = [value] if isinstance(value, str) else value
    if operator in operators and isinstance(names, list) and names and all(map(_is_name, names)):
        return names
    raise _NotCarriedError(f"only `{operators[0]}` a list of texts is one; it has {operator} {_shown(value)}")


def _is_name(value: object) -> bool:
    return isinstance(value, str) and 0 < len(value.strip()) <= _LONGEST


def _unit(unit: object, known: Iterable[str], default: str) -> str:
    found = default if unit is None else str(unit)
    if found not in known:
        raise _NotCarriedError(f"its unit is {_shown(unit)}, none of {', '.join(known)}")
    return found


def _slug(name: object, default: str) -> str:
    text = re.sub(r"[^a-z0-9_-]+", "-", name.lower()).strip("-") if isinstance(name, str) else ""
    return text[:60] or default


def _shown(value: object) -> str:
    return repr(value)[:40]
