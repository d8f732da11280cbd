"""Defines what the formats of others become: cases, and sentences on what could not be carried over."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from aftercall.errors import UserError
from aftercall.evals.case import EvalCase
from aftercall.evals.results import CaseResult

_MOST_BYTES: Final = 512 * 1024 * 1024


class FormatError(UserError):
    """A file of another program cannot be read: the file, the rule, the value, the remedy."""


@dataclass(frozen=True)
class ForeignCases:
    """Cases of another format. `lost` has a sentence for each check or field that has no counterpart here."""

    cases: Sequence[EvalCase]
    lost: Sequence[str] = ()


@dataclass(frozen=True)
class ForeignRun:
    """A run of another program. `dataset` and `agent` are its own names of these."""

    dataset: str
    agent: str
    started_at: int
    """Microseconds since 1970 UTC."""
    cases: Sequence[EvalCase]
    results: Sequence[CaseResult] = field(default=())


def plain_case(case: EvalCase) -> dict[str, Any]:
    """A case as a line of a data set: what `case_of` reads, without what is empty."""
    found: dict[str, Any] = {"id": case.id, "input": case.input}
    found |= {} if case.expected is None else {"expected": case.expected}
    found |= {"checks": [dict(one) for one in case.checks]} if case.checks else {}
    found |= {"tags": list(case.tags)} if case.tags else {}
    return found | ({"metadata": dict(case.metadata)} if case.metadata else {})


def json_file(path: Path) -> Any:
    """The content of a JSON file.

    Raises:
        FormatError: it cannot be read, or is no JSON.
    """
    try:
        if path.stat().st_size > _MOST_BYTES:
            raise FormatError(f"{path}: must have at most {_MOST_BYTES:,} bytes (write a smaller one)")
        return json.loads(path.read_bytes())
    except OSError as wrong:
        raise FormatError(f"{path}: cannot be read: {wrong.strerror} (check the path)") from None
    except (ValueError, RecursionError):
        raise FormatError(f"{path}: must be JSON; it is none (export it again)") from None


def foreign_score(value: Any) -> float | None:
    """A score of another program as one from 0 to 1; None where it is none.

    >>> foreign_score("C"), foreign_score("P"), foreign_score(True), foreign_score(7)
    (1.0, 0.5, 1.0, None)
    """
    if isinstance(value, str):
        return _LETTERS.get(value)
    known = isinstance(value, bool | int | float) and 0 <= value <= 1
    return float(value) if known else None


_LETTERS: Final[Mapping[str, float]] = {"C": 1.0, "P": 0.5, "I": 0.0, "N": 0.0}
