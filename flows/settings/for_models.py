"""The user's settings as the models take them."""

from __future__ import annotations

from pathlib import Path

from aftercall.errors import UsageError
from aftercall.times import duration_us
from aftercall.vocabulary import DEFAULT_PASS_AT
from flows.settings.loading import Settings
from flows.settings.task_types import Task
from flows.settings.verdicts import SourceScore
from flows.settings.zones import zone_of
from models.alarms.rule_alerts import NO_RULE_ALERTS, RuleAlerts
from models.alerts import AlertSettings
from models.drift import Calendar, DriftSettings, Planned, ReadUntil
from models.groups import Caps
from models.join import JoinRules, Segments, SourceRule, TaskRules, VerdictRules
from models.routing import RoutingSettings, TaskRouting
from models.sessions import SessionRules
from models.state import SECRET, Envelopes
from models.trust import TrustSettings

Ends = tuple[int | None, int | None]
"""When the last call and the last outcome of files occurred, microseconds; None where nothing ends."""
FOR_EVER: Ends = (None, None)


def join_rules(settings: Settings) -> JoinRules:
    """Horizons, waits, precedence, required sources, and how each source is read."""
    sources = {name: _source_rule(score) for name, score in settings.verdict.source.items()}
    return JoinRules(
        horizon_us=duration_us(settings.join.horizon),
        allowed_lateness_us=duration_us(settings.join.allowed_lateness),
        orphan_wait_us=duration_us(settings.join.orphan_wait),
        tasks={
            name: TaskRules(
                horizon_us=duration_us(settings.horizon(name)),
                silence=None if task.silence is None else task.silence == "success",
                require=None if task.require is None else tuple(task.require),
            )
            for name, task in settings.task.items()
            if task.horizon is not None or task.require is not None
        },
        verdict=VerdictRules(
            precedence=tuple(settings.verdict.precedence), sources=sources, require=tuple(settings.verdict.require)
        ),
    )


def counted_segments(settings: Settings) -> Segments:
    """The segments whose rates are kept, by task type."""
    return {name: frozenset(task.segments) for name, task in settings.task.items() if task.segments}


def session_rules(settings: Settings) -> SessionRules:
    """Horizons and waits as those of the join, and which sources revise their outcomes."""
    rules = join_rules(settings)
    return SessionRules(
        horizon_us=rules.horizon_us,
        allowed_lateness_us=rules.allowed_lateness_us,
        orphan_wait_us=rules.orphan_wait_us,
        session_wait_us=duration_us(settings.join.session_wait),
        task_horizon_us={name: task.horizon_us for name, task in rules.tasks.items()},
        revises=rules.verdict.revising,
    )


def _source_rule(score: SourceScore) -> SourceRule:
    return SourceRule(
        pass_at=score.least_success if score.fail_at is None else DEFAULT_PASS_AT,
        fail_at=score.fail_at,
        scale=score.scale,
        same_id=score.same_id,
        abstain=score.abstain,
        combine=score.combine,
    )


def group_caps(settings: Settings) -> Caps:
    """How many groups and task types are counted by name."""
    join = settings.join
    return Caps(join.max_groups, join.max_groups_per_task, join.max_task_types)


def drift_settings(
    settings: Settings, read_until: Ends = FOR_EVER, rules: RuleAlerts = NO_RULE_ALERTS
) -> DriftSettings:
    """The promise; a group's warm-up is never longer than its horizon, after which its outcomes are in."""
    drift = settings.drift
    return DriftSettings(
        false_alarms_per_1000_groups_per_week=drift.false_alarms_per_1000_groups_per_week,
        warmup_us=duration_us(min(drift.warmup, settings.join.horizon)),
        warmup_by_task={
            # Where silence decides, its verdicts only begin to come when the first calls close.
            name: duration_us(
                min(drift.warmup, task.horizon)
                if settings.silence(name) is None
                else task.horizon + settings.join.allowed_lateness
            )
            for name, task in settings.task.items()
            if task.horizon is not None
        },
        unpromised_tasks=frozenset(name for name in settings.task if settings.silence(name) is not None),
        min_trials=drift.min_trials,
        margin=drift.margin,
        margin_above_per_day=drift.margin_above_per_day,
        new_normal_after_us=duration_us(drift.new_normal_after),
        sources=tuple(drift.sources),
        rules=rules,
        restarts_per_arm_per_week=settings.routing.restarts_per_arm_per_week,
        read_until=ReadUntil(*read_until),
        calendar=Calendar(
            zones={name: zone_of(task.timezone) for name, task in settings.task.items() if task.timezone != "UTC"},
            holidays=settings.calendar.days(),
            planned=tuple(Planned(*span) for span in settings.calendar.spans()),
        ),
    )


def alert_settings(settings: Settings, rules: RuleAlerts = NO_RULE_ALERTS) -> AlertSettings:
    """The same warm-ups as the detectors', when a new level is normal, and rules of contracts that raise alerts."""
    drift = drift_settings(settings)
    return AlertSettings(drift.warmup_us, drift.warmup_by_task, drift.new_normal_after_us, rules)


def routing_settings(settings: Settings) -> RoutingSettings:
    """When recommendations are issued, and what is particular to a task type."""
    routing = settings.routing
    return RoutingSettings(
        every_us=duration_us(routing.every),
        valid_for_us=duration_us(routing.valid_for),
        floor=routing.floor,
        min_evidence=routing.min_evidence,
        memory_us=duration_us(routing.memory),
        max_arms=routing.max_arms,
        retire_after_us=duration_us(routing.retire_after),
        tasks={name: _task_routing(task) for name, task in settings.task.items()},
    )


def _task_routing(task: Task) -> TaskRouting:
    allowed = task.allowed_patterns
    return TaskRouting(
        value=task.value,
        latency_weight=task.latency_weight,
        max_cost_usd=task.max_cost_usd,
        max_latency_ms=task.max_latency_ms,
        max_latency_p95_ms=task.max_latency_p95_ms,
        min_success_rate=task.min_success_rate,
        allow=None if allowed is None else tuple(one.regex for one in allowed),
        deny=tuple(one.regex for one in task.denied_patterns),
        pinned=task.pinned_arm,
        segments=tuple(task.segments),
    )


def trust_settings(settings: Settings) -> TrustSettings:
    """Half-life, weights and tiers, and where silence decides, after how long."""
    trust = settings.trust
    return TrustSettings(
        half_life_us=duration_us(trust.half_life),
        weights=trust.weights.in_order(),
        tiers=dict(trust.tiers),
        feedback=frozenset(trust.feedback),
        silence_us={
            name: duration_us(settings.horizon(name)) for name in settings.task if settings.silence(name) is not None
        },
    )


def envelopes_of(settings: Settings) -> Envelopes:
    """How states are packed and read: with the secret of `service.state_key_file` where it is set.

    Raises:
        UsageError: the file cannot be read, or is too short or too long.
    """
    file = settings.service.state_key_file
    if file is None:
        return Envelopes()
    try:
        secret = Path(file).read_bytes()
    except OSError as wrong:
        raise UsageError(
            f"service.state_key_file: {file} must be readable; {wrong.strerror} (make it readable)"
        ) from None
    if len(secret) not in SECRET:
        raise UsageError(
            f"service.state_key_file: {file} must have {SECRET[0]} to {SECRET[-1]} bytes; it has {len(secret)} "
            f"(make one with `head -c 32 /dev/urandom > {file}`)"
        )
    return Envelopes(secret)
