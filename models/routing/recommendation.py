"""Weigh the arms of a task type by what is known of them, with the reason in words."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from aftercall.records import Alert, ArmStatus
from aftercall.vocabulary import EVERY_TASK
from models.arrays import F64, Bools
from models.routing.arm_counts import Arm
from models.routing.facts import ArmFacts, Usage
from models.routing.limits import Excess, excess
from models.routing.silence import held, silent
from models.routing.wanted import TaskRouting
from models.routing.why import Why, share_text
from models.stats.best_arm import probability_of_best
from models.stats.intervals import confidence_sequence
from models.stats.segment_shares import SegmentShares
from models.stats.segment_shrinkage import in_segments

__all__ = ["ArmFacts", "Decision", "TaskRouting", "Usage", "decide", "share_text"]

DIGITS = 9
COST_WORTH = 10.0
"""An arm's mean cost is drawn towards that of the others as by so many calls: few dear calls do not rule it out."""
MOST_LISTED = 3000
"""Arms over all segments of a record, which must stay below the 1 MB that brokers take; those with most weight."""
_RATES = "success_rate"
"""The metric of alerts that call arms degraded."""
Before = Mapping[str | None, Mapping[Arm, float]]
"""Weights of the last recommendation by segment, None for all calls."""


class Decision(NamedTuple):
    """`segments` and `degraded` as `aftercall.records.Recommendation` takes them; `weights` as the next `before`."""

    segments: list[dict[str, Any]]
    degraded: list[dict[str, Any]]
    reason: str
    weights: dict[str | None, dict[Arm, float]]

    @property
    def arms(self) -> list[dict[str, Any]]:
        """Those for all calls."""
        found: list[dict[str, Any]] = self.segments[0]["arms"]
        return found


class _Arms:
    """The arms that compete, and what is alike in all segments."""

    def __init__(
        self,
        facts_by_arm: Mapping[Arm, ArmFacts],
        alerts: Sequence[Alert],
        wanted: TaskRouting,
        floor: float,
        least: int,
    ) -> None:
        self.names = sorted(arm for arm in facts_by_arm if wanted.allows(arm))
        self.facts = [facts_by_arm[arm] for arm in self.names]
        facts_of = list(zip(self.names, self.facts, strict=True))
        self.wanted, self.min_evidence = wanted, least
        self.successes = np.array([fact.successes / fact.effect for fact in self.facts])
        self.failures = np.array([fact.failures / fact.effect for fact in self.facts])
        self.independent = np.array([fact.independent for fact in self.facts])
        self.costs = _relative_costs(self.facts, wanted)
        self.retired = np.array([fact.retired and arm != wanted.pinned for arm, fact in facts_of])
        self.least = np.array([floor + fact.explore for fact in self.facts])
        self.worse = {arm: found for arm in self.names if (found := _alert_on(arm, alerts)) is not None}
        # An arm that is retired is drawn again where nothing else is left.
        self.able = ~self.retired if not self.retired.all() else np.ones(len(self.names), np.bool_)
        self.quiet = np.zeros(len(self.names), np.bool_)
        self._best: dict[bytes, F64] = {}

    def best(self, inside: Bools, successes: F64, failures: F64, *, alike: bool) -> F64:
        """P(best) among some arms, 0 for the others; `alike`: of counts that are those of all calls."""
        if alike and (known := self._best.get(inside.tobytes())) is not None:
            return known
        if alike:
            successes, failures = self.successes, self.failures
        found = np.zeros(len(self.names))
        costs = None if self.costs is None else self.costs[inside]
        found[inside] = probability_of_best(successes[inside], failures[inside], costs)
        if alike:
            self._best[inside.tobytes()] = found
        return found


class _Segment(NamedTuple):
    """What is known of all arms within a segment, and the weights that follow; `alike`: the counts are of all calls."""

    segment: str | None
    own: F64
    successes: F64
    failures: F64
    low: F64
    high: F64
    alike: bool


def decide(
    facts_by_arm: Mapping[Arm, ArmFacts],
    alerts: Sequence[Alert],
    wanted: TaskRouting,
    floor: float,
    min_evidence: int,
    before: Before | None = None,
    shares: SegmentShares | None = None,
    task_type: str = EVERY_TASK,
) -> Decision:
    """Weights for the arms of one task type.

    `weight = (1 - sum of least) P(best) + least` over the arms within their limits, with `least = floor + explore`; by
    that of utility `value p - cost - latency_weight latency` where the task type has a value.

    Args:
        facts_by_arm: at least one arm.
        alerts: open alerts of the task type: on outcomes of models and configs, and on answers that stay out.
        wanted: value, limits, pin, segments.
        floor: least weight of an arm within its limits; all least weights are scaled down where they sum to over 1.
        min_evidence: independent resolved calls below which an arm is `exploring`; while all are, weights are equal.
        before: weights of the last recommendation, which silent arms do not exceed; None where there was none.
        shares: of the outcomes of the arms, in the order of their names, within the segments of `wanted`; None: none.
        task_type: the name by which alerts know it.

    Cost:
        Without segments, or where these do not differ, some 1 ms for 30 arms; else 0.5 ms more for each segment.
    """
    them = _Arms(facts_by_arm, alerts, wanted, floor, min_evidence)
    them.quiet = silent(task_type, them.names, alerts)
    denied = len(facts_by_arm) - len(them.names)
    if not them.names:
        empty: list[dict[str, Any]] = [{"segment": one, "arms": []} for one in (None, *wanted.segments)]
        return Decision(
            empty, [], f"none of the {denied:,} arms that are called is allowed, so none is drawn", {None: {}}
        )
    if shares is not None and denied:
        kept = np.array([wanted.allows(arm) for arm in sorted(facts_by_arm)])
        shares = SegmentShares(shares.successes[:, kept], shares.failures[:, kept])
    why = Why(them.names, wanted, min_evidence)
    listed, weights = [], dict[str | None, dict[Arm, float]]()
    for one in _segments(them, shares):
        over = [_excess(them, one, at) for at in range(len(them.names))]
        found, p_best = _weights(them, one, over, (before or {}).get(one.segment, {}), why)
        listed.append({"segment": one.segment, "arms": _listed(them, one, over, found, p_best)})
        weights[one.segment] = dict(zip(them.names, found.tolist(), strict=True))
    _bounded(listed)
    degraded = [
        {"model": arm[0], "config": arm[1], "reason": alert.reason, "alert_id": alert.alert_id}
        for arm, alert in them.worse.items()
    ]
    reason = why.text(weights, them.facts, set(them.worse), them.quiet, them.retired, denied)
    return Decision(listed, degraded, reason, weights)


def _segments(them: _Arms, shares: SegmentShares | None) -> list[_Segment]:
    """All calls first, then the segments in the order of `wanted`."""
    names, count = them.wanted.segments, len(them.names)
    all_calls = np.stack((them.successes, them.failures))
    counts, own, alike = [all_calls], [np.array([fact.n for fact in them.facts])], [True]
    if shares is None:
        shares = SegmentShares(np.zeros((len(names), count)), np.zeros((len(names), count)))
    if names:
        own_s, own_f = them.successes * shares.successes, them.failures * shares.failures
        drawn = in_segments(them.successes, them.failures, own_s, own_f)
        whole = np.array([(fact.successes, fact.failures) for fact in them.facts]).T
        for at in range(len(names)):
            counts.append(np.stack((drawn.successes[at], drawn.failures[at])))
            own.append(np.round(whole[0] * shares.successes[at] + whole[1] * shares.failures[at]).astype(int))
            # What makes a segment harder for all arms alike does not change which of them is best.
            alike.append(drawn.rho == 0.0)
    table = np.array(counts)
    low, high = confidence_sequence(table[:, 0], table[:, 1])
    return [
        _Segment(name, own[at], *table[at], low[at], high[at], alike[at])  # type: ignore[call-arg]
        for at, name in enumerate((None, *names))
    ]


def _excess(them: _Arms, one: _Segment, at: int) -> Excess | None:
    outcomes = float(them.independent[at])
    return excess(them.facts[at].uses, float(one.high[at]), outcomes, them.wanted, them.min_evidence)


def _weights(
    them: _Arms, one: _Segment, over: list[Excess | None], before: Mapping[Arm, float], why: Why
) -> tuple[F64, F64]:
    """Weights, and P(best) of all arms."""
    count = len(them.names)
    everyone = np.ones(count, np.bool_)
    p_best = them.best(everyone, one.successes, one.failures, alike=one.alike)
    weights = np.zeros(count)
    if them.wanted.pinned is not None:
        weights[them.names.index(them.wanted.pinned)] = 1.0
        why.pinned()
        return weights, p_best
    inside = them.able & np.array([beyond is None for beyond in over])
    if not inside.any():
        # The order of names settles a tie.
        worst = [(beyond.times, at) for at, beyond in enumerate(over) if beyond is not None and them.able[at]]
        least_bad = min(worst)[1]
        weights[least_bad] = 1.0
        why.least_bad(one.segment, least_bad, over[least_bad])
        return weights, p_best
    why.over(one.segment, over)
    if them.independent[inside].max() < them.min_evidence:
        share = inside / inside.sum()
        why.unknown(one.segment)
    else:
        among = p_best if inside.all() else them.best(inside, one.successes, one.failures, alike=one.alike)
        least = np.where(inside, them.least, 0.0)
        least *= min(1.0, 1.0 / max(float(least.sum()), 1e-300))
        share = (1.0 - float(least.sum())) * among + least
        why.best(one.segment, share, among)
    share = held(share, them.names, them.quiet, inside, before)
    return _rounded_shares(share, inside, them.quiet), p_best


def _rounded_shares(share: F64, inside: Bools, quiet: Bools) -> F64:
    """What rounding took or gave goes to the greatest weight of an arm that is not silent: they must sum to 1."""
    weights = np.round(share, DIGITS)
    # The greatest weight of the last recommendation was not a round number.
    weights = np.where(quiet, np.minimum(weights, share), weights)
    free = inside & ~quiet
    top = int(np.where(free, weights, -1.0).argmax()) if free.any() else int(weights.argmax())
    weights[top] = 0.0
    weights[top] = 1.0 - weights.sum()
    return weights


def _listed(them: _Arms, one: _Segment, over: list[Excess | None], weights: F64, p_best: F64) -> list[dict[str, Any]]:
    evidence = one.successes + one.failures

    def status(at: int) -> ArmStatus:
        if them.names[at] == them.wanted.pinned:
            return "pinned"
        if them.retired[at]:
            return "retired"
        if over[at] is not None:
            return "over_limit"
        if them.quiet[at]:
            return "silent"
        if them.names[at] in them.worse:
            return "degraded"
        return "exploring" if round(float(evidence[at])) < them.min_evidence else "ok"

    def known(value: float, at: int) -> float | None:
        return _rounded(value) if evidence[at] > 0 and them.facts[at].n else None

    return [
        {
            "model": arm[0],
            "config": arm[1],
            "weight": float(weights[at]),
            "p_best": _rounded(p_best[at]),
            "rate": known(one.successes[at] / max(evidence[at], 1e-300), at),
            "rate_low": known(one.low[at], at),
            "rate_high": known(one.high[at], at),
            "n": int(one.own[at]),
            "status": status(at),
        }
        for at, arm in enumerate(them.names)
    ]


def _bounded(listed: list[dict[str, Any]]) -> None:
    """Leave to each segment its heaviest arms where the record would be too long for a broker."""
    if sum(len(one["arms"]) for one in listed) <= MOST_LISTED or len(listed) == 1:
        return
    most = max((MOST_LISTED - len(listed[0]["arms"])) // (len(listed) - 1), 1)
    for one in listed[1:]:
        heaviest = sorted(one["arms"], key=lambda arm: (-arm["weight"], arm["model"], arm["config"]))[:most]
        total = sum(arm["weight"] for arm in heaviest)
        kept = sorted(heaviest, key=lambda arm: (arm["model"], arm["config"]))
        for arm in kept:
            arm["weight"] = _rounded(arm["weight"] / total)
        heaviest[0]["weight"] += 1.0 - sum(arm["weight"] for arm in kept)
        one["arms"] = kept


def _rounded(value: float) -> float:
    return round(float(value), DIGITS)


def _relative_costs(facts: list[ArmFacts], wanted: TaskRouting) -> F64 | None:
    """What a call of each arm costs in money and time, in units of one success; None where nothing is known of it."""
    if not wanted.value:
        return None
    seconds = [None if fact.uses.latency_ms is None else fact.uses.latency_ms / 1e3 for fact in facts]
    money = _usual([fact.uses.cost_usd for fact in facts], [fact.uses.costed for fact in facts])
    time = _usual(seconds, [fact.uses.timed for fact in facts]) if wanted.latency_weight else None
    if money is None and time is None:
        return None
    nothing = np.zeros(len(facts))
    whole: F64 = (nothing if money is None else money) + (nothing if time is None else wanted.latency_weight * time)
    return whole / wanted.value


def _usual(means: list[float | None], calls: list[float]) -> F64 | None:
    """Means drawn towards that of all calls: an arm without any is as the others, neither free nor dear."""
    known = [(mean, count) for mean, count in zip(means, calls, strict=True) if mean is not None]
    if not known:
        return None
    usual = sum(mean * count for mean, count in known) / sum(count for _, count in known)
    return np.array(
        [
            usual if mean is None else (mean * count + usual * COST_WORTH) / (count + COST_WORTH)
            for mean, count in zip(means, calls, strict=True)
        ]
    )


def _alert_on(arm: Arm, alerts: Sequence[Alert]) -> Alert | None:
    """The open alert by which this arm does worse: its own, else that of its config or its model."""
    on = [
        alert
        for alert in alerts
        if alert.metric == _RATES
        and alert.direction == "down"
        and (alert.model is not None or alert.config is not None)
        and alert.model in {None, arm[0]}
        and alert.config in {None, arm[1]}
    ]

    def nearest(alert: Alert) -> tuple[Any, ...]:
        return alert.config is None, alert.model is None, alert.opened_at, alert.alert_id

    return min(on, key=nearest) if on else None
