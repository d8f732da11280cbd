"""What a recommendation said, and whether the next one says anything that matters beside it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, NamedTuple

from models.routing.arm_counts import Arm
from models.routing.recommendation import Decision

MATTERS: Final = 0.05
"""Total variation distance between the weights of two recommendations: so many of the calls would go elsewhere."""


class Issued(NamedTuple):
    """The last recommendation of a task type. Arms are (model, config)."""

    at: int
    """us."""
    weights: dict[str | None, dict[Arm, float]]
    """By segment, None for all calls."""
    statuses: dict[Arm, str]
    """For all calls."""
    degraded: tuple[str, ...]
    """Ids of alerts."""

    @classmethod
    def of(cls, at: int, decision: Decision) -> Issued:
        """What is decided at `at` (us)."""
        statuses = {(arm["model"], arm["config"]): str(arm["status"]) for arm in decision.arms}
        return cls(at, decision.weights, statuses, tuple(sorted(one["alert_id"] for one in decision.degraded)))

    def again_at(self, valid_for_us: int, every_us: int) -> int:
        """When it is issued again though nothing changed, us: at a multiple of `every_us`, half its life being over."""
        return -(-(self.at + valid_for_us // 2) // every_us) * every_us

    def matters_after(self, before: Issued, valid_for_us: int) -> bool:
        """Whether weights of a segment moved by `MATTERS`, a status or alert is another, or half its life is over."""
        segments = self.weights.keys() | before.weights.keys()
        moved = (_moved(self.weights.get(one, {}), before.weights.get(one, {})) for one in segments)
        known = self.statuses.keys() & before.statuses.keys()
        return (
            max(moved, default=0.0) >= MATTERS
            or self.degraded != before.degraded
            or any(self.statuses[arm] != before.statuses[arm] for arm in known)
            or self.at - before.at >= valid_for_us // 2
        )


def _moved(now: Mapping[Arm, float], before: Mapping[Arm, float]) -> float:
    """Total variation distance, in [0, 1]."""
    return sum(abs(now.get(arm, 0.0) - before.get(arm, 0.0)) for arm in now.keys() | before.keys()) / 2
