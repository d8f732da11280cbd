"""Holds what is known of the two spans of many arms as columns: an object for each of 10,000 arms takes too long."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from models.arrays import F64, I64, Bools, Objects
from models.stats.comparison import Span

ARM_COUNTS = ("calls", "successes", "failures", "pending", "expired")
"""The rows of counts."""


class ArmColumns(NamedTuple):
    """Arms of one task type or of several, sorted by task type, model and config; shape (arms,) or (rows, arms).

    Attributes:
        models: str; None for the sum of all arms of a task type.
        configs: The same.
        before: `ARM_COUNTS` of the baseline, shape (5, arms).
        after: Those of the lookback.
        corrected: Corrected rate of the lookback, its ends, and its maturity, shape (4, arms); nan where unknown.
        known: Whether the snapshot has rates of exactly that lookback.
        effect: Design effects.
        power: Outcomes a day, days until a drop is noticed (nan: over eight weeks), and the probability within a week
            (nan: nothing is known), shape (3, arms).
    """

    models: Objects
    configs: Objects
    before: I64
    after: I64
    corrected: F64
    known: Bools
    effect: F64
    power: F64

    @property
    def resolved(self) -> tuple[I64, I64]:
        """Calls of either span with a verdict."""
        return self.before[1] + self.before[2], self.after[1] + self.after[2]

    def take(self, rows: I64 | slice) -> ArmColumns:
        """These arms."""
        return ArmColumns._make(column[..., rows] for column in self)

    def spans(self) -> tuple[Span, Span]:
        """The counts of either span, as many as they are worth."""
        return tuple(self._worth_of(counts) for counts in (self.before, self.after))  # type: ignore[return-value]

    def worth(self, resolved: I64) -> F64:
        """So many outcomes count as one: whatever they share, all together are one at least."""
        return np.minimum(self.effect, np.maximum(resolved, 1))

    def _worth_of(self, counts: I64) -> Span:
        calls, successes, failures, *_ = counts
        worth = self.worth(successes + failures)
        return Span(calls / worth, successes / worth, failures / worth)


class TaskColumns(NamedTuple):
    """Arms of task types: those of task type i are `arms` from `starts[i]` to `starts[i + 1]`.

    `wholes`: design effects of all outcomes of a task type together.
    """

    tasks: list[str]
    starts: I64
    arms: ArmColumns
    wholes: F64


def nothing_known(names: Objects, counts: tuple[I64, I64]) -> dict[str, Any]:
    """Columns of arms of which counts are known, and nothing else."""
    size = len(names)
    return {
        "models": names,
        "configs": names,
        "before": counts[0],
        "after": counts[1],
        "corrected": np.full((4, size), np.nan),
        "known": np.zeros(size, np.bool_),
        "effect": np.ones(size),
        "power": np.full((3, size), np.nan),
    }
