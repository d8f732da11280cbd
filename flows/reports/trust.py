"""Reads the newest trust scores from a snapshot."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Final

from aftercall.errors import ExitCode
from aftercall.times import format_time, to_us
from aftercall.trust_record import TRUST_WEIGHTS
from flows.reports.snapshot_reader import InsightError, open_snapshot, rows

_JSON: Final = ("dimensions", "moved")
_QUERY: Final = "SELECT * EXCLUDE (newest) FROM trust WHERE newest ORDER BY task_type, model NULLS FIRST, config"


@dataclass(frozen=True)
class TrustRow:
    """The newest score of a group, or of a whole task type (`model` and `config` None); as the record has it."""

    task_type: str
    model: str | None
    config: str | None
    as_of: datetime
    score: float | None
    score_low: float | None
    score_high: float | None
    coverage: float
    tier: str | None
    dimensions: list[dict[str, Any]]
    moved: list[dict[str, Any]]
    formula: str
    event_id: str
    seq: int

    @property
    def is_whole(self) -> bool:
        """Whether it is of a whole task type."""
        return self.model is None

    @property
    def missing(self) -> list[str]:
        """Dimensions without evidence."""
        known = {part["dimension"] for part in self.dimensions if part["rate"] is not None}
        return [name for name in TRUST_WEIGHTS if name not in known]

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return {**vars(self), "as_of": format_time(to_us(self.as_of))}


class NoTrustError(InsightError):
    """No hour has ended so far."""

    exit_code = ExitCode.UNDECIDED


def read_trust(snapshot: Path, task_type: str | None = None) -> list[TrustRow]:
    """The newest rows of one task type or of all, each task type as a whole before its groups.

    Raises:
        InsightError: no such snapshot, or none of that task type; `NoTrustError` if there are no scores so far.
    """
    with open_snapshot(snapshot) as base:
        found = [TrustRow(**row | {name: json.loads(row[name]) for name in _JSON}) for row in rows(base, _QUERY)]
    if not found:
        raise NoTrustError(
            f"trust: {snapshot} must hold a score; no hour with calls has ended yet (wait for the end of the hour)"
        )
    chosen = [row for row in found if task_type in {None, row.task_type}]
    if not chosen:
        names = ", ".join(dict.fromkeys(row.task_type for row in found))
        raise InsightError(f"trust: the task type must be one in {snapshot} ({names}); got {task_type!r} (name one)")
    return chosen
