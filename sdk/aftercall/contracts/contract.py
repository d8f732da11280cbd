"""Defines a contract: named rules, in versions, for the calls whose names its globs match."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, Final, Self

from aftercall.contracts.conditions import When
from aftercall.contracts.facts import Facts
from aftercall.contracts.globs import Globs
from aftercall.contracts.params.base import AlertMode, Dimension, Room, RuleParams, RuleSeverity
from aftercall.contracts.records.base import Judge
from aftercall.contracts.records.table import judge_of
from aftercall.contracts.results import Finding, not_applicable
from aftercall.errors import ExitCode, UserError
from aftercall.times import NEVER

MAX_RULES: Final = 64
"""At most so many rules judge one call, of all contracts together."""
CANCELLED: Final = "the call was cancelled: its output is not whole"
ALWAYS: Final = ("*",)
FOREVER_US: Final = 2**63 - 1
_ALERTS: Final[dict[RuleSeverity, AlertMode]] = {"critical": "each", "major": "rate", "minor": "never", "info": "never"}


class ContractError(UserError):
    """A contract file cannot be used: the file, the rule, the value, the remedy."""

    exit_code = ExitCode.USAGE


@dataclass(frozen=True, eq=False)
class Rule:
    """One rule of a contract, with what its kind takes in `params`."""

    params: RuleParams
    dimension: Dimension
    """The dimension of trust that it counts in."""

    @property
    def id(self) -> str:
        """Unique within the contract."""
        return self.params.id

    @property
    def type(self) -> str:
        """The kind, a key of `kinds.KINDS`."""
        return self.params.type

    @property
    def severity(self) -> RuleSeverity:
        """How bad a violation is."""
        return self.params.severity

    @property
    def alert(self) -> AlertMode:
        """What raises alerts: by the severity, unless the rule says it."""
        return self.params.alert or _ALERTS[self.severity]

    @property
    def room(self) -> Room:
        """Where it is judged."""
        return self.params.room

    @cached_property
    def when(self) -> When:
        """To which calls it applies."""
        return self.params.conditions()

    def stops(self, facts: Facts) -> Finding | None:
        """The result where it does not apply to a call, or that cannot be known; None where it applies."""
        if self.params.of_whole_output and facts.label("cancelled") is True:
            return not_applicable(CANCELLED)
        return self.when.stops(facts)

    @cached_property
    def judge(self) -> Judge:
        """What judges a call by it, `when` aside: made once."""
        return judge_of(self.params)

    @cached_property
    def needs(self) -> frozenset[str]:
        """Fields of the wire without each of which it is not applicable, those of `when` included."""
        return self.params.needs | self.when.needs

    @cached_property
    def reads(self) -> frozenset[str]:
        """Fields of the wire that it looks at, those of `when` included: its result rests on these alone."""
        return self.params.reads | self.when.reads


@dataclass(frozen=True, eq=False)
class Contract:
    """One version of a contract. `hash` is over its content without the times from and until which it is in effect.

    Compared by identity, so that it can be the key of what was made for it; `hash` compares the content.
    """

    name: str
    version: str
    rules: tuple[Rule, ...]
    tasks: tuple[str, ...] = ALWAYS
    models: tuple[str, ...] = ALWAYS
    configs: tuple[str, ...] = ALWAYS
    effective_from_us: int | None = None
    """Microseconds since 1970 UTC; None where the file does not say it, which a service fixes at its first start."""
    effective_until_us: int | None = None
    """From then on it judges no call."""
    place: str = ""
    """The file, for messages."""

    @cached_property
    def hash(self) -> str:
        """128 bits in hex over the canonical content: the same for TOML, YAML and JSON of one meaning.

        Defaults that are written out make no difference, nor do `effective_from` and `effective_until`: a version that
        has judged calls may be retired, or be given the start that a service has fixed.
        """
        return hashlib.sha256(json.dumps(self.canonical(), sort_keys=True, ensure_ascii=True).encode()).hexdigest()[:32]

    def canonical(self) -> dict[str, Any]:
        """What `hash` is over, as plain JSON."""
        return {
            "contract": self.name,
            "version": self.version,
            "tasks": list(self.tasks),
            "models": list(self.models),
            "configs": list(self.configs),
            "rule": [plain_rule(rule.params) for rule in self.rules],
        }

    @property
    def label(self) -> str:
        """Name and version, as in outcome ids: `refund@3`."""
        return f"{self.name}@{self.version}"

    @property
    def from_us(self) -> int:
        """From when it judges; `NEVER`, before all times, where the file does not say it."""
        return NEVER if self.effective_from_us is None else self.effective_from_us

    @property
    def until_us(self) -> int:
        """Until when it judges, exclusive."""
        return FOREVER_US if self.effective_until_us is None else self.effective_until_us

    @cached_property
    def _globs(self) -> tuple[Globs, Globs, Globs]:
        return Globs(self.tasks), Globs(self.models), Globs(self.configs)

    def matches(self, task_type: str, model: str, config: str) -> bool:
        """Whether its globs take calls of these names."""
        tasks, models, configs = self._globs
        return bool(tasks.match(task_type) and models.match(model) and configs.match(config))

    def starting(self, from_us: int) -> Self:
        """The same version with the start that a service has fixed; its hash stays."""
        return replace(self, effective_from_us=from_us)

    def rule(self, rule_id: str) -> Rule | None:
        """The rule of this id; None where there is none."""
        return self._by_id.get(rule_id)

    @cached_property
    def _by_id(self) -> Mapping[str, Rule]:
        return {rule.id: rule for rule in self.rules}


def plain_rule(params: RuleParams) -> dict[str, Any]:
    """A rule as plain JSON, as a file would have it, without what is a default and without `schema_file`."""
    plain = params.model_dump(mode="json", by_alias=True, exclude_defaults=True, exclude={"schema_file"})
    return {"id": params.id, "type": params.type, **_whole_numbers(plain)}


def _whole_numbers(value: Any) -> Any:
    """2000.0 as 2000: the formats of files differ in how they write one number."""
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if isinstance(value, dict):
        return {key: _whole_numbers(part) for key, part in value.items()}
    return [_whole_numbers(part) for part in value] if isinstance(value, list) else value
