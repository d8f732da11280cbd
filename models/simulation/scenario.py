"""A scenario describes simulated traffic in plain numbers: task types, arms, delays, the incident."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from aftercall.times import HOUR_S, MINUTE_S


@dataclass(frozen=True)
class SimArm:
    """A model and configuration; `share` of its task type's calls, latency median and mean cost of a call."""

    model: str
    config: str
    share: float
    latency_ms: float
    cost_usd: float


@dataclass(frozen=True)
class SimTask:
    """A task type.

    Attributes:
        name: the task type.
        share: of all calls.
        rates: probability of success per (model, config).
        answered: probability that a call's outcome is ever reported; independent of success.
        sources: probability that each reports it first.
        failure_delay_s: median delay of a failure (lognormal), seconds; failures are reported faster than successes.
        success_delay_s: median delay of a success.
    """

    name: str
    share: float
    rates: Mapping[tuple[str, str], float]
    answered: float
    sources: Mapping[str, float]
    failure_delay_s: float = 20 * MINUTE_S
    success_delay_s: float = 2.5 * HOUR_S


@dataclass(frozen=True)
class SimIncident:
    """One model silently gets worse in one task type: at `at` (share of the period), by `drop` (absolute)."""

    task_type: str
    model: str
    at: float
    drop: float


@dataclass(frozen=True)
class Scenario:
    """Everything that decides the traffic, but its seed, its length and its volume.

    Attributes:
        day_swing: relative size of the day cycle of traffic, in [0, 1).
        delay_sigma: of the logarithm of every delay.
        max_delay_s: no outcome comes later than this after its call.
        errors: share of calls that fail by themselves.
        judged: share of calls a judge scores; it is wrong for `judge_wrong` of them.
        reopened: share of failures first reported as success, until a ticket is reopened.
        corrected: share of first statements that are wrong and corrected by the same source.
        withdrawn: share of first statements that are withdrawn; half of them are given again.
        duplicates: share of lines that come twice.
        orphans: outcomes of unknown calls, as a share of calls.
    """

    tasks: tuple[SimTask, ...]
    arms: tuple[SimArm, ...]
    incident: SimIncident | None = None
    day_swing: float = 0.6
    delay_sigma: float = 1.0
    max_delay_s: float = 60 * HOUR_S
    errors: float = 0.004
    judged: float = 0.08
    judge_wrong: float = 0.07
    reopened: float = 0.06
    corrected: float = 0.01
    withdrawn: float = 0.006
    duplicates: float = 0.004
    orphans: float = 0.002


def _rates(*values: float) -> dict[tuple[str, str], float]:
    return {(arm.model, arm.config): rate for arm, rate in zip(ARMS, values, strict=True)}


ARMS = (
    SimArm("atlas-large", "default", 0.40, 2400.0, 0.0150),
    SimArm("birch-2", "prompt-v1", 0.20, 1500.0, 0.0060),
    SimArm("birch-2", "prompt-v2", 0.15, 1650.0, 0.0068),
    SimArm("cedar-mini", "default", 0.25, 600.0, 0.0008),
)

DEMO = Scenario(
    tasks=(
        SimTask(
            "support_triage",
            0.5,
            _rates(0.91, 0.88, 0.89, 0.84),
            0.75,
            {"user_feedback": 0.7, "downstream": 0.3},
        ),
        SimTask(
            "invoice_extraction",
            0.3,
            _rates(0.95, 0.93, 0.94, 0.90),
            0.85,
            {"downstream": 0.85, "human_review": 0.15},
            failure_delay_s=10 * MINUTE_S,
            success_delay_s=1 * HOUR_S,
        ),
        SimTask(
            "code_review",
            0.2,
            _rates(0.82, 0.78, 0.80, 0.66),
            0.6,
            {"user_feedback": 0.6, "human_review": 0.4},
            failure_delay_s=45 * MINUTE_S,
            success_delay_s=5 * HOUR_S,
        ),
    ),
    arms=ARMS,
    incident=SimIncident("support_triage", "atlas-large", at=0.785, drop=0.12),
)
"""The scenario of `aftercall demo`: the busiest model of the largest task type loses 12 points on day 11."""
