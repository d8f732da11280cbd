"""Numbers the rules of all contracts, and says of each where it is judged and what a call must carry for it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final, NamedTuple

import numpy as np

from aftercall.contracts.contract import Contract, Rule
from aftercall.contracts.session_calls import rules_over_sessions
from aftercall.vocabulary import FILLED_ONCE, LISTS_NO_TOOLS
from models.arrays import I32, U32, Bools
from models.contracts.columns import ColumnBound, bound_of
from models.side_messages import CheckedRule

SEVERITIES: Final = {"critical": ("critical",), "major": ("critical", "major"), "never": ()}
"""By the setting `contracts.verdict`: of which severities a violation is a failure of the call."""
_BITS: Final = {name: np.uint32(1 << place) for place, name in enumerate(FILLED_ONCE)}
_TOKENS: Final = ("tokens_in", "tokens_out")
LATENCY_NEED: Final = _BITS["latency_ms"]
_AT_THE_PRODUCER: Final = _BITS["output"]
"""What a record has that brings checks of a producer."""


class RulesOf(NamedTuple):
    """The rules of one contract that judge single calls, in their order; those over sessions stand apart.

    Attributes:
        contract: the version.
        rules: the rules.
        number: of each, its place in `RuleTable.names`.
        needs: bits of `FILLED_ONCE` without which a rule is not applicable; 0 where it needs nothing that a second
            record of a call could bring.
        severe: whether a violation is a failure of the call.
        in_columns: places of those that are judged as columns.
        by_record: places of those that the engine judges record by record.
        elsewhere: places of those that the lane judges, or the producer.
        bounds: of those that are judged as columns.
        said: what rows of checks say of each: contract, version, id, type and severity.
        over_sessions: the rules that judge sessions, in their order.
        session_number: of each of these, its place in `RuleTable.names`.
    """

    contract: Contract
    rules: tuple[Rule, ...]
    number: I32
    needs: U32
    severe: Bools
    in_columns: tuple[int, ...]
    by_record: tuple[int, ...]
    elsewhere: tuple[int, ...]
    bounds: tuple[ColumnBound | None, ...]
    said: tuple[tuple[str, str, str, str, str], ...]
    over_sessions: tuple[Rule, ...]
    session_number: I32


class RuleTable:
    """The rules of all versions of all contracts."""

    def __init__(self, contracts: Iterable[Contract], verdict: str) -> None:
        """`verdict`: a key of `SEVERITIES`."""
        self.names: list[CheckedRule] = []
        self._of: dict[Contract, RulesOf] = {}
        for contract in contracts:
            self._of[contract] = self._rules_of(contract, frozenset(SEVERITIES[verdict]))

    def of(self, contract: Contract) -> RulesOf:
        """The rules of one version."""
        return self._of[contract]

    def severe_needs(self) -> list[np.uint32]:
        """What records must have to complete a call with a violation that is a failure; distinct."""
        needs = {int(need) for rules in self._of.values() for need in rules.needs[rules.severe] if need}
        return [np.uint32(need) for need in sorted(needs)]

    def _rules_of(self, contract: Contract, severities: frozenset[str]) -> RulesOf:
        rules = tuple(rule for rule in contract.rules if rule.room != "session")
        over_sessions = rules_over_sessions(contract)
        first, last = len(self.names), len(self.names) + len(rules)
        self.names += [checked_rule(contract, rule) for rule in (*rules, *over_sessions)]
        where = [_room(rule) for rule in rules]
        in_columns, by_record, elsewhere = (
            tuple(place for place, room in enumerate(where) if room == one) for one in _ROOMS
        )
        return RulesOf(
            contract,
            rules,
            np.arange(first, last, dtype=np.int32),
            np.array([_needs(rule) for rule in rules], np.uint32),
            np.array([rule.severity in severities for rule in rules], np.bool_),
            in_columns,
            by_record,
            elsewhere,
            tuple(bound_of(rules[place]) for place in in_columns),
            tuple((contract.name, contract.version, rule.id, rule.type, rule.severity) for rule in rules),
            over_sessions,
            np.arange(last, len(self.names), dtype=np.int32),
        )


def checked_rule(contract: Contract, rule: Rule) -> CheckedRule:
    """A rule as messages name it."""
    return CheckedRule(contract.name, contract.version, rule.id, rule.dimension)


_ROOMS: Final = ("columns", "record", "elsewhere")


def _room(rule: Rule) -> str:
    if rule.room in {"text", "code"}:
        return "elsewhere"
    return "columns" if rule.room == "columns" and not rule.params.when else "record"


def known_of(had: int) -> np.uint32:
    """The bits of what rules could judge a call by so far: also a number in place of its tool calls, or no tool."""
    return np.uint32(had) | (_BITS["tool_calls"] if had & LISTS_NO_TOOLS else np.uint32(0))


def _needs(rule: Rule) -> np.uint32:
    if rule.type == "output_length" and rule.params.min is rule.params.max is None:  # type: ignore[attr-defined]
        return np.uint32(0)  # an error, whatever the call carries
    names = {"tokens" if name in _TOKENS else name for name in rule.needs}
    needs = _AT_THE_PRODUCER if rule.room == "code" else np.uint32(0)
    for name in names & _BITS.keys():
        needs |= _BITS[name]
    return needs
