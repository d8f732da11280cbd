"""Weigh the arms of a task type by what is known of them, with the reason in words."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from aftercall.records import Alert, ArmStatus
from models.arrays import F64
from models.routing.arm_counts import Arm
from models.stats.best_arm import probability_of_best
from models.stats.intervals import confidence_sequence

DIGITS = 9


@dataclass(frozen=True)
class TaskRouting:
    """What a task type asks of routing.

    Attributes:
        value: what a success is worth, USD; absent: the success rate alone decides.
        max_cost_usd: greatest mean cost of a call.
        max_latency_ms: greatest mean latency of a call.
        pinned: the (model, config) that receives every call.
    """

    value: float | None = None
    max_cost_usd: float | None = None
    max_latency_ms: float | None = None
    pinned: Arm | None = None


class ArmFacts(NamedTuple):
    """Discounted counts and means of one arm; `costed` and `timed` calls are behind the means.

    `effect`: design effect, so many outcomes tell as much as one that shares no unit with others; >= 1.
    """

    successes: float = 0.0
    failures: float = 0.0
    cost_usd: float | None = None
    costed: float = 0.0
    latency_ms: float | None = None
    timed: float = 0.0
    effect: float = 1.0

    @property
    def n(self) -> int:
        """Resolved calls."""
        return round(self.successes + self.failures)

    @property
    def independent(self) -> int:
        """As many independent ones tell as much."""
        return round((self.successes + self.failures) / self.effect)


class Decision(NamedTuple):
    """`arms` and `degraded` as `aftercall.records.Recommendation` takes them."""

    arms: list[dict[str, Any]]
    degraded: list[dict[str, Any]]
    reason: str


def decide(
    facts_by_arm: dict[Arm, ArmFacts], alerts: Sequence[Alert], wanted: TaskRouting, floor: float, min_evidence: int
) -> Decision:
    """Weights for the arms of one task type.

    `weight = (1 - K floor) P(best) + floor` over the K arms within their limits.

    Args:
        facts_by_arm: at least one arm.
        alerts: open outcome alerts of the task type, of models and configs.
        wanted: value, limits, pin.
        floor: least weight of an arm within its limits; 1/K where K floor > 1.
        min_evidence: independent resolved calls below which an arm is `exploring`; while all are, weights are equal.
    """
    arms = sorted(facts_by_arm)
    facts = [facts_by_arm[arm] for arm in arms]
    successes = np.array([fact.successes / fact.effect for fact in facts])
    failures = np.array([fact.failures / fact.effect for fact in facts])
    costs = _relative_costs(facts, wanted.value)
    p_best = probability_of_best(successes, failures, costs)
    low, high = confidence_sequence(successes, failures)
    worse = {arm: found for arm in arms if (found := _alert_on(arm, alerts)) is not None}
    beyond = np.array([_over_limit(fact, wanted, min_evidence) for fact in facts])
    weights, why = _weights(arms, facts, p_best, beyond, wanted, floor, min_evidence, (successes, failures, costs))

    def status(index: int) -> ArmStatus:
        if arms[index] == wanted.pinned:
            return "pinned"
        if beyond[index]:
            return "over_limit"
        if arms[index] in worse:
            return "degraded"
        return "exploring" if facts[index].independent < min_evidence else "ok"

    listed = [
        {
            "model": arm[0],
            "config": arm[1],
            "weight": float(weights[i]),
            "p_best": round(float(p_best[i]), DIGITS),
            "rate": _rounded(successes[i] / (successes[i] + failures[i])) if facts[i].n else None,
            "rate_low": _rounded(low[i]) if facts[i].n else None,
            "rate_high": _rounded(high[i]) if facts[i].n else None,
            "n": facts[i].n,
            "status": status(i),
        }
        for i, arm in enumerate(arms)
    ]
    degraded = [
        {"model": arm[0], "config": arm[1], "reason": alert.reason, "alert_id": alert.alert_id}
        for arm, alert in worse.items()
    ]
    return Decision(listed, degraded, _reason(why, arms, worse, weights))


def _rounded(value: float) -> float:
    return round(float(value), DIGITS)


def _name(arm: Arm) -> str:
    return arm[0] if arm[1] == "default" else f"{arm[0]}/{arm[1]}"


def _relative_costs(facts: list[ArmFacts], value: float | None) -> F64 | None:
    paid = [fact.cost_usd for fact in facts if fact.cost_usd is not None]
    if not value or not paid:
        return None
    # An arm whose cost was not reported is taken to cost what the others do, neither free nor ruled out.
    usual = sum(paid) / len(paid)
    return np.array([usual if fact.cost_usd is None else fact.cost_usd for fact in facts]) / value


def _alert_on(arm: Arm, alerts: Sequence[Alert]) -> Alert | None:
    """The open alert by which this arm does worse: its own, else that of its config or its model."""
    on = [a for a in alerts if a.direction == "down" and a.model in {None, arm[0]} and a.config in {None, arm[1]}]

    def nearest(alert: Alert) -> tuple[Any, ...]:
        return alert.config is None, alert.model is None, alert.opened_at, alert.alert_id

    return min(on, key=nearest) if on else None


def _over_limit(fact: ArmFacts, wanted: TaskRouting, min_evidence: int) -> bool:
    dear = wanted.max_cost_usd is not None and fact.cost_usd is not None and fact.cost_usd > wanted.max_cost_usd
    slow = wanted.max_latency_ms is not None and fact.latency_ms is not None and fact.latency_ms > wanted.max_latency_ms
    # A few dear calls do not rule an arm out: it could never show that they were an exception.
    return (dear and fact.costed >= min_evidence) or (slow and fact.timed >= min_evidence)


def _weights(
    arms: list[Arm],
    facts: list[ArmFacts],
    p_best: F64,
    beyond: Any,
    wanted: TaskRouting,
    floor: float,
    min_evidence: int,
    posterior: tuple[F64, F64, F64 | None],
) -> tuple[F64, str]:
    weights = np.zeros(len(arms))
    if wanted.pinned is not None:
        weights[arms.index(wanted.pinned)] = 1.0
        return weights, f"{_name(wanted.pinned)} is pinned by configuration"
    inside = np.flatnonzero(~beyond)
    why = ""
    if inside.shape[0] == 0:
        inside = np.arange(len(arms))
        why = "; every arm is over its cost or latency limit, so the limits are left out"
    if max(facts[i].independent for i in inside) < min_evidence:
        share = np.full(inside.shape[0], 1 / inside.shape[0])
        reason = f"no arm has {min_evidence} resolved calls yet, so all are drawn alike"
    else:
        if inside.shape[0] < len(arms):
            successes, failures, costs = posterior
            p_best = probability_of_best(successes[inside], failures[inside], None if costs is None else costs[inside])
        least = min(floor, 1 / inside.shape[0])
        share = (1 - inside.shape[0] * least) * p_best + least
        leader = int(inside[int(share.argmax())])
        fact = facts[leader]
        reason = (
            f"{_name(arms[leader])} is best with probability {share_text(float(p_best[int(share.argmax())]))}: "
            f"{100 * fact.successes / max(fact.successes + fact.failures, 1e-9):.1f} % "
            f"of {fact.n:,} recent outcomes succeed"
        )
    weights[inside] = np.round(share, DIGITS)
    # What rounding took or gave goes to the greatest weight: propensities must sum to 1.
    top = int(weights.argmax())
    weights[top] = 1.0 - (weights.sum() - weights[top])
    return weights, reason + why


def share_text(share: float) -> str:
    """A probability in words a person trusts: never 0 % or 100 %."""
    if share > 0.99:
        return "over 99 %"
    return "under 1 %" if share < 0.01 else f"{100 * share:.0f} %"


def _reason(why: str, arms: list[Arm], worse: dict[Arm, Alert], weights: F64) -> str:
    if not worse:
        return why
    degraded = ", ".join(f"{_name(arm)} ({100 * float(weights[arms.index(arm)]):.0f} %)" for arm in worse)
    return f"{why}; degraded: {degraded}"
