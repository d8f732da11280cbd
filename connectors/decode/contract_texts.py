"""Judges the texts of calls by the contracts that judge these calls, before the texts are dropped."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from aftercall.contracts.contract import Contract, Rule
from aftercall.contracts.contract_set import ContractSet
from aftercall.contracts.engine import judge_rule
from aftercall.contracts.facts import Facts
from aftercall.contracts.results import RuleResult, TextResults
from aftercall.contracts.texts.text_pass import TextPass
from connectors.batch import I32, I64, Objects
from connectors.decode.renaming import Group
from connectors.decode.structs import CallRecord


class _Pass(NamedTuple):
    """The pass of a version, and which of its rules ask the call whether they apply."""

    texts: TextPass
    asking: tuple[bool, ...]

    def results(self, record: CallRecord, facts: Facts) -> tuple[RuleResult, ...]:
        found = self.texts.results(record.input, record.output)
        if not any(self.asking):
            return tuple(found)
        rows = zip(self.texts.rules, self.asking, found, strict=True)
        return tuple(judge_rule(rule, facts, one) if asks else one for rule, asks, one in rows)


class ContractTexts:
    """The rules on texts of all versions of all contracts."""

    def __init__(self, contracts: ContractSet, redact: Sequence[str] | None = None) -> None:
        """Compile the rules.

        Args:
            contracts: with the starts of their versions; those that the state has fixed included.
            redact: see `TextPass`; None: no piece of a text is in any result.

        Raises:
            ContractError: a phrase, a pattern or a schema is refused.
        """
        self._contracts = contracts
        self._passes = {
            contract: _Pass(TextPass(contract, redact=redact), tuple(map(_asks, _on_texts(contract))))
            for contract in contracts
            if _on_texts(contract)
        }

    @property
    def any(self) -> bool:
        """Whether any rule looks into texts."""
        return bool(self._passes)

    def results(self, records: Objects, group: I32, names: Sequence[Group], at: I64) -> Objects:
        """What rules find in the texts of accepted calls, whose names are those that count.

        Args:
            records: `CallRecord`, with their texts.
            group: per call an index into `names`.
            names: (task_type, model, config).
            at: `occurred_at`, us.

        Returns:
            Per call a tuple of `TextResults`, one for each contract with such rules that judges it, by name; None where
            there is none, or the call has no text.
        """
        found = np.full(len(records), None, np.object_)
        for i, record in enumerate(records.tolist()):
            if record.input is not None or record.output is not None:
                task_type, model, config = names[int(group[i])]
                judging = self._contracts.judging(task_type, model, config, int(at[i]))
                found[i] = self._of(record, judging) or None
        return found

    def _of(self, record: CallRecord, judging: Sequence[Contract]) -> tuple[TextResults, ...]:
        facts = Facts(record)
        passes = ((one, self._passes[one]) for one in judging if one in self._passes)
        return tuple(TextResults(one.name, one.version, texts.results(record, facts)) for one, texts in passes)


def _on_texts(contract: Contract) -> tuple[Rule, ...]:
    return tuple(rule for rule in contract.rules if rule.room == "text")


def _asks(rule: Rule) -> bool:
    return bool(rule.when.conditions) or rule.params.of_whole_output
