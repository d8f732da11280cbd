"""What a recommendation said, and whether the next one says anything that matters beside it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, NamedTuple

from models.routing.recommendation import Decision

MATTERS: Final = 0.05
"""Total variation distance between the weights of two recommendations: so many of the calls would go elsewhere."""


class Issued(NamedTuple):
    """The last recommendation of a task type. Arms are (model, config)."""

    at: int
    """us."""
    weights: dict[str | None, dict[tuple[str, str], float]]
    """By segment, None for all calls."""
    statuses: dict[tuple[str, str], str]
    degraded: tuple[str, ...]
    """Ids of alerts."""

    @classmethod
    def of(cls, at: int, decision: Decision) -> Issued:
        """What is decided at `at` (us)."""
        arms = {(arm["model"], arm["config"]): arm for arm in decision.arms}
        statuses = {arm: str(found["status"]) for arm, found in arms.items()}
        return cls(at, decision.weights, statuses, tuple(sorted(one["alert_id"] for one in decision.degraded)))

    def again_at(self, valid_for_us: int, every_us: int) -> int:
        """When it is issued again though nothing changed, us: at a multiple of `every_us`, half its life being over."""
        return -(-(self.at + valid_for_us // 2) // every_us) * every_us

    def matters_after(self, before: Issued, valid_for_us: int) -> bool:
        """Whether a segment's weights moved by `MATTERS`, a status or the alerts differ, or half its life is over."""
        segments = self.weights.keys() | before.weights.keys()
        moved = max(_moved(self.weights.get(one, {}), before.weights.get(one, {})) for one in segments)
        known = self.statuses.keys() & before.statuses.keys()
        return (
            moved >= MATTERS
            or self.degraded != before.degraded
            or any(self.statuses[arm] != before.statuses[arm] for arm in known)
            or self.at - before.at >= valid_for_us // 2
        )


def _moved(now: Mapping[tuple[str, str], float], before: Mapping[tuple[str, str], float]) -> float:
    """Total variation distance, [0, 1]."""
    return sum(abs(now.get(arm, 0.0) - before.get(arm, 0.0)) for arm in now.keys() | before.keys()) / 2
