"""What a recommendation said, and whether the next one says anything that matters beside it."""

from __future__ import annotations

from typing import Final, NamedTuple

from models.routing.recommendation import Decision

MATTERS: Final = 0.05
"""Total variation distance between the weights of two recommendations: so many of the calls would go elsewhere."""


class Issued(NamedTuple):
    """The last recommendation of a task type. Arms are (model, config)."""

    at: int
    """us."""
    weights: dict[tuple[str, str], float]
    statuses: dict[tuple[str, str], str]
    degraded: tuple[str, ...]
    """Ids of alerts."""

    @classmethod
    def of(cls, at: int, decision: Decision) -> Issued:
        """What is decided at `at` (us)."""
        arms = {(arm["model"], arm["config"]): arm for arm in decision.arms}
        weights = {arm: float(found["weight"]) for arm, found in arms.items()}
        statuses = {arm: str(found["status"]) for arm, found in arms.items()}
        return cls(at, weights, statuses, tuple(sorted(one["alert_id"] for one in decision.degraded)))

    def again_at(self, valid_for_us: int, every_us: int) -> int:
        """When it is issued again though nothing changed, us: at a multiple of `every_us`, half its life being over."""
        return -(-(self.at + valid_for_us // 2) // every_us) * every_us

    def matters_after(self, before: Issued, valid_for_us: int) -> bool:
        """Whether weights moved by `MATTERS`, an arm has another status, alerts differ, or half its life is over."""
        arms = self.weights.keys() | before.weights.keys()
        moved = sum(abs(self.weights.get(arm, 0.0) - before.weights.get(arm, 0.0)) for arm in arms) / 2
        known = self.statuses.keys() & before.statuses.keys()
        return (
            moved >= MATTERS
            or self.degraded != before.degraded
            or any(self.statuses[arm] != before.statuses[arm] for arm in known)
            or self.at - before.at >= valid_for_us // 2
        )
