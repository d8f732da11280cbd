"""Settings of the stage that makes alerts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from models.alarms.rule_alerts import NO_RULE_ALERTS, RuleAlerts


@dataclass(frozen=True)
class AlertSettings:
    """What alerts need of section `[drift]`; times in microseconds.

    Attributes:
        warmup_us: outcomes of a task type before its first + warmup are no baseline.
        warmup_by_task: other warm-ups by task type.
        new_normal_after_us: an alert open this long is closed: the new level has become normal. > 0.
        rules: of contracts, that raise alerts.
    """

    warmup_us: int
    warmup_by_task: Mapping[str, int]
    new_normal_after_us: int
    rules: RuleAlerts = field(default_factory=lambda: NO_RULE_ALERTS)

    def warmup_of(self, task_type: str) -> int:
        """Warm-up of a task type's groups, microseconds."""
        return self.warmup_by_task.get(task_type, self.warmup_us)
