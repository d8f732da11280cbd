"""Reads the content of a contract file: its keys, its rules, and one sentence for whatever is wrong."""

from __future__ import annotations

from collections.abc import Mapping
from difflib import get_close_matches
from typing import Annotated, Any, Final

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError

from aftercall.contracts.contract import MAX_RULES, Contract, ContractError, Rule
from aftercall.contracts.kinds import KINDS
from aftercall.contracts.params.base import GlobList, Moment, RuleParams, VersionText
from aftercall.names import plain_name
from aftercall.times import parse_time

KEYS: Final = ("contract", "version", "effective_from", "effective_until", "tasks", "models", "configs", "rule")
MORE: Final = "docs/contracts.md has the keys of each kind"


def _name(text: str) -> str:
    if text != plain_name(text) or ":" in text or "@" in text:
        raise ValueError("must have no blanks around it, no invisible characters, no : and no @")
    return text


class ContractHead(BaseModel):
    """A contract file without its rules."""

    model_config = ConfigDict(strict=True, frozen=True, extra="forbid")

    contract: Annotated[str, Field(min_length=1, max_length=64), AfterValidator(_name)]
    version: Annotated[VersionText, AfterValidator(_name)]
    effective_from: Moment | None = None
    effective_until: Moment | None = None
    tasks: GlobList = Field(default_factory=lambda: ["*"])
    models: GlobList = Field(default_factory=lambda: ["*"])
    configs: GlobList = Field(default_factory=lambda: ["*"])


def contract_of(given: object, place: str) -> Contract:
    """The contract that the content of a file is.

    Args:
        given: the file, parsed; its schemas are inlined (`schema_file` is already read).
        place: the file, for messages.

    Raises:
        ContractError: it is wrong; the sentence names file, rule, value and remedy.
    """
    if not isinstance(given, Mapping):
        raise ContractError(f"{place}: must be a table of keys; got {_shown(given)} ({MORE})")
    try:
        head = ContractHead.model_validate({key: value for key, value in given.items() if key != "rule"})
    except ValidationError as wrong:
        raise ContractError(_sentence(wrong, place, "a contract", KEYS)) from None
    first = None if head.effective_from is None else parse_time(head.effective_from)
    last = None if head.effective_until is None else parse_time(head.effective_until)
    if last is not None and first is not None and last <= first:
        raise ContractError(
            f"{place}, effective_until: must lie after effective_from, {head.effective_from}; got"
            f" {head.effective_until} (move it, or remove the file: it judges no call)"
        )
    rules = _rules(given.get("rule"), place)
    tasks, models, configs = (tuple(globs) for globs in (head.tasks, head.models, head.configs))
    contract = Contract(head.contract, head.version, rules, tasks, models, configs, first, last, place)
    if any(rule.room == "text" for rule in rules):
        from aftercall.contracts.texts.text_pass import text_pass

        text_pass(contract)  # refuses patterns and schemas that it cannot compile
    return contract


def _rules(given: object, place: str) -> tuple[Rule, ...]:
    if not isinstance(given, list) or not given:
        raise ContractError(f"{place}, rule: must be a list of one rule at least; got {_shown(given)} ({MORE})")
    if len(given) > MAX_RULES:
        raise ContractError(
            f"{place}, rule: at most {MAX_RULES} rules may judge one call; got {len(given)} (make it two contracts for"
            " different tasks)"
        )
    rules = tuple(rule_of(rule, f"{place}, rule {_named(rule, at)}") for at, rule in enumerate(given, 1))
    seen: set[str] = set()
    for rule in rules:
        if rule.id in seen:
            raise ContractError(f"{place}, rule {rule.id!r}: two rules have this id (give one of them another id)")
        seen.add(rule.id)
    return rules


def rule_of(given: object, place: str) -> Rule:
    """One rule of a contract file.

    Raises:
        ContractError: it is wrong.
    """
    if not isinstance(given, Mapping):
        raise ContractError(f"{place}: must be a table of keys; got {_shown(given)} ({MORE})")
    kind = KINDS.get(given["type"]) if isinstance(given.get("type"), str) else None
    if kind is None:
        raise ContractError(
            f"{place}, type: must be a kind of rule; got {_shown(given.get('type'))} ({_nearest(given)})"
        )
    try:
        params = kind.params.model_validate({key: value for key, value in given.items() if value is not None})
        params.conditions()
    except ValidationError as wrong:
        raise ContractError(_sentence(wrong, place, f"`{given['type']}`", _keys(kind.params))) from None
    except ValueError as wrong:
        raise ContractError(f"{place}, when: {wrong}") from None
    refused = params.refuse()
    if refused is not None:
        raise ContractError(f"{place}, {refused}")
    return Rule(params, params.dimension or kind.dimension)


def _keys(params: type[RuleParams]) -> tuple[str, ...]:
    return tuple(info.alias or name for name, info in params.model_fields.items())


def _named(rule: object, at: int) -> str:
    """The rule's id, or its place in the file."""
    given = rule.get("id") if isinstance(rule, Mapping) else None
    return repr(given[:64]) if isinstance(given, str) and given else f"number {at}"


def _nearest(rule: Mapping[str, Any]) -> str:
    near = get_close_matches(str(rule.get("type")), KINDS, 1)
    return f"did you mean {near[0]!r}?" if near else f"choose one of {', '.join(KINDS)}"


def _sentence(wrong: ValidationError, place: str, what: str, keys: tuple[str, ...]) -> str:
    error = wrong.errors(include_url=False)[0]
    key = ".".join(str(part) for part in error["loc"] if not str(part).startswith(("constrained", "function-")))
    if error["type"] == "extra_forbidden":
        near = get_close_matches(key, keys, 1)
        return f"{place}: {key!r} is no key of {what} ({f'did you mean {near[0]!r}?' if near else _choice(keys)})"
    if error["type"] == "missing":
        return f"{place}, {key}: is required by {what}; got none (set it; {MORE})"
    rule = error["msg"].removeprefix("Value error, ").removeprefix("Input should be ")
    rule = rule if error["type"] == "value_error" else f"must be {rule[:1].lower()}{rule[1:]}"
    got = "" if "got " in rule else f"; got {_shown(error['input'])}"
    return f"{place}, {key}: {rule}{got} ({MORE})"


def _choice(keys: tuple[str, ...]) -> str:
    return f"it takes {', '.join(keys)}"


def _shown(value: object) -> str:
    text = "none" if value is None else repr(value)
    return text if len(text) <= 60 else f"{text[:60]}..."
