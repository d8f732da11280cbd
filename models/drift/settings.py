"""Settings of the detectors, and the thresholds that follow from the promise on false alarms."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np

from aftercall.times import DAY_US, HOUR_US
from models.alarms.rule_alerts import NO_RULE_ALERTS, RuleAlerts, metric_of
from models.arrays import F64
from models.drift.budget import ALWAYS, BUDGET, shares
from models.drift.calendar import Calendar
from models.stats.alpha_account import ALPHA_GRAIN


class ReadUntil(NamedTuple):
    """When the last call and the last outcome of files that are read to their end occurred, microseconds.

    What comes after it is unknown, and no outage. None where nothing ends: in a service, or without such files.
    """

    calls: int | None = None
    outcomes: int | None = None


@dataclass(frozen=True)
class DriftSettings:
    """Settings of section `[drift]`; times in microseconds.

    Attributes:
        false_alarms_per_1000_groups_per_week: the promise, over all statistical alerts together. > 0.
        warmup_us: trials of a task type before its first call or trial + warmup are neither tested nor learned. Where
            failures are reported faster than successes, the first trials are mostly failures; after the warm-up the
            mix stands, and how long either takes is known.
        warmup_by_task: other warm-ups by task type, such as a horizon shorter than `warmup_us`.
        unpromised_tasks: task types whose alerts carry no promise: where silence decides, one kind of verdict comes a
            whole horizon after the other, so that a change of traffic looks like a change of the rate.
        min_trials: learned before a group is tested. >= 1.
        margin: how much worse or better a busy group's rate may be without counting as evidence: a point or two, for
            those who want no alarm on them. In [0, 1).
        margin_above_per_day: the margin holds for groups with more trials a day than this, since their baseline began.
        new_normal_after_us: an alert open this long is closed: the new level has become normal. > 0.
        read_until: where the files that are read end.
        calendar: time zones, holidays and planned work, by which volumes are compared.
        sources: whose success rates are watched beside those of verdicts; distinct.
        rules: of contracts, that raise alerts.
        restarts_per_arm_per_week: how often routing may find a change of an arm that is none; 0: it finds none. >= 0.
    """

    false_alarms_per_1000_groups_per_week: float = 1.0
    warmup_us: int = 72 * HOUR_US
    warmup_by_task: Mapping[str, int] = field(default_factory=dict)
    unpromised_tasks: frozenset[str] = frozenset()
    min_trials: int = 30
    margin: float = 0.0
    margin_above_per_day: float = 300.0
    new_normal_after_us: int = 7 * DAY_US
    read_until: ReadUntil = field(default_factory=ReadUntil)
    calendar: Calendar = field(default_factory=Calendar)
    sources: tuple[str, ...] = ()
    rules: RuleAlerts = field(default_factory=lambda: NO_RULE_ALERTS)
    restarts_per_arm_per_week: float = 0.1

    def __post_init__(self) -> None:
        """Refuse what would break the promise.

        Raises:
            ValueError: naming the setting, the rule, the value and the remedy.
        """
        rules = (
            ("false_alarms_per_1000_groups_per_week", self.false_alarms_per_1000_groups_per_week > 0, "> 0", "1"),
            ("warmup", min(self.warmup_us, *self.warmup_by_task.values(), self.warmup_us) >= 0, ">= 0 s", "72h"),
            ("min_trials", self.min_trials >= 1, ">= 1", "30"),
            ("restarts_per_arm_per_week", self.restarts_per_arm_per_week >= 0, ">= 0", "0.1"),
            ("margin", 0 <= self.margin < 1, "in [0, 1)", "0"),
            ("margin_above_per_day", self.margin_above_per_day >= 0, ">= 0", "300"),
            ("new_normal_after", self.new_normal_after_us > 0, "> 0 s", "7d"),
        )
        for name, holds, rule, default in rules:
            if not holds:
                value = getattr(self, name, None)
                got = getattr(self, f"{name}_us", None) if value is None else value
                raise ValueError(f"[drift] {name} must be {rule}; got {got} (leave it out for {default})")

    @property
    def configured(self) -> frozenset[str]:
        """What is tested: names of the budget."""
        declared = {"source_rate": self.sources, "contract": self.by_rate}
        return ALWAYS | {name for name, any_of_it in declared.items() if any_of_it}

    @property
    def by_rate(self) -> tuple[str, ...]:
        """Metrics of the rules whose rate of violations is tested, in order."""
        return tuple(sorted({metric_of(key[0], key[2]) for key, one in self.rules.items() if one.mode == "rate"}))

    def threshold_of(self, metric: str, part: float = 1.0) -> float:
        """A of each test of a metric that has `part` of its share: 1,000 / (F w) with w its share of the promise.

        >>> round(DriftSettings(false_alarms_per_1000_groups_per_week=1.0).threshold_of("calls"))
        24000
        """
        share = float(shares(self.configured)[metric])
        return 1000 * BUDGET[metric].tests / (self.false_alarms_per_1000_groups_per_week * share * part)

    @property
    def threshold(self) -> float:
        """A of CT-SR on outcomes, for each of its two directions.

        >>> round(DriftSettings(false_alarms_per_1000_groups_per_week=1.0).threshold, 1)
        4444.4
        """
        return self.threshold_of("success_rate")

    @property
    def known_moment_alpha(self) -> float:
        """What a group pays for tests at known moments in a week: false alarms; in multiples of `ALPHA_GRAIN`."""
        exact = BUDGET["known_moment"].tests / self.threshold_of("known_moment")
        return max(round(exact / ALPHA_GRAIN), 1) * ALPHA_GRAIN

    def margin_of(self, trials: F64 | float, days: F64 | float) -> F64:
        """The margin of groups that have learned `trials` in `days`; a day counts at least, so a burst is no traffic.

        >>> DriftSettings(margin=0.02).margin_of(301.0, 0.1).item()
        0.02
        """
        busy = trials > self.margin_above_per_day * np.maximum(days, 1.0)
        return np.where(busy, self.margin, 0.0)

    def warmup_of(self, task_type: str) -> int:
        """Warm-up of a task type's groups, microseconds."""
        return self.warmup_by_task.get(task_type, self.warmup_us)
