"""Defines a case of a data set: what an agent is asked, and what its answer must be."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, Final

from aftercall.errors import UserError

MAX_CASE_ID: Final = 256
_HASH_DIGITS: Final = 32
_ID_DIGITS: Final = 8


class DatasetError(UserError):
    """A data set cannot be used: the file and the line, the rule, the value, the remedy."""


@dataclass(frozen=True, kw_only=True)
class EvalCase:
    """One case.

    `input` is what the agent is asked, text or JSON. `expected` is what it should answer; `checks` are objects with a
    `type` (docs/evals.md lists them) and decide in its place where there are any. `id` names the case in every run;
    without one it is the beginning of the hash of `input`. Where cases come from a file, `place` has file and line.

    >>> case = EvalCase(input="How long may I return shoes?", expected="30 days")
    >>> case.id, case.input_hash[:8]
    ('a508fde8', 'a508fde8')
    """

    input: Any
    expected: Any = None
    id: str = ""
    checks: tuple[Mapping[str, Any], ...] = ()
    tags: tuple[str, ...] = ()
    metadata: Mapping[str, Any] = field(default_factory=dict)
    place: str = field(default="", compare=False)

    def __post_init__(self) -> None:
        """Take lists as well, and name the case where it has no id."""
        object.__setattr__(self, "checks", tuple(self.checks))
        object.__setattr__(self, "tags", tuple(self.tags))
        if not self.id:
            object.__setattr__(self, "id", self.input_hash[:_ID_DIGITS])

    def __hash__(self) -> int:
        """Of its name: equal cases have one."""
        return hash(self.id)

    @cached_property
    def input_hash(self) -> str:
        """128 bits of SHA-256 of the input, in hex: a case whose input was edited has no history."""
        return plain_hash(self.input)

    @property
    def question(self) -> str:
        """The input as text: as it is, or as JSON."""
        return self.input if isinstance(self.input, str) else json_text(self.input)


def json_text(value: Any) -> str:
    """A value as JSON in one line, its keys in order; what JSON does not have is written as text."""
    return json.dumps(value, sort_keys=True, ensure_ascii=False, default=str)


def plain_hash(value: Any) -> str:
    """128 bits of SHA-256 of a value as JSON, in hex.

    >>> plain_hash({"a": 1, "b": 2}) == plain_hash({"b": 2, "a": 1})
    True
    """
    return hashlib.sha256(json_text(value).encode("utf-8", "replace")).hexdigest()[:_HASH_DIGITS]


def dataset_hash(cases: Iterable[EvalCase]) -> str:
    """128 bits over all that the cases are, in hex, whatever their order.

    Two data sets with one hash ask the same and expect the same.
    """
    parts = [plain_hash([one.id, one.input, one.expected, one.checks, one.tags, one.metadata]) for one in cases]
    return plain_hash(sorted(parts))


def distinct(cases: Iterable[EvalCase], what: str = "dataset") -> tuple[EvalCase, ...]:
    """The cases, each with an id of its own: equal inputs without ids become `ID#2`, `ID#3`.

    Raises:
        DatasetError: there is none, or two cases that were given ids have the same.
    """
    seen: dict[str, EvalCase] = {}
    copies: dict[str, int] = {}
    for case in cases:
        one = case
        while one.id in seen and case.id == case.input_hash[:_ID_DIGITS]:
            copies[case.id] = copies.get(case.id, 1) + 1
            one = replace(case, id=f"{case.id}#{copies[case.id]}")
        if one.id in seen:
            raise DatasetError(
                f"{one.place or what}: each case must have an id of its own; {one.id[:80]!r} is also that of"
                f" {seen[one.id].place or 'an earlier case'} (give one of them another id)"
            )
        seen[one.id] = one
    if not seen:
        raise DatasetError(f"{what}: must have one case at least; got none (write a case, or name another data set)")
    return tuple(seen.values())
