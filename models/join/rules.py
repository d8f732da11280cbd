"""The settings that decide verdicts. A call is judged until it closes by those it was accepted under."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np

from aftercall.times import DAY_US, NEVER
from models.arrays import I64
from models.join.ledger import SourceRule, VerdictRules


@dataclass(frozen=True, slots=True)
class TaskRules:
    """Overrides for one task type.

    Attributes:
        silence: the verdict of a call on which nothing stands when it closes.
        require: sources that all must say success; None for those of `VerdictRules`.
    """

    horizon_us: int
    silence: bool | None = None
    require: tuple[str, ...] | None = None


@dataclass(frozen=True, slots=True)
class JoinRules:
    """Horizons, waits and the verdict rules. Durations in microseconds."""

    horizon_us: int = 30 * DAY_US
    allowed_lateness_us: int = DAY_US // 24
    orphan_wait_us: int = DAY_US
    tasks: Mapping[str, TaskRules] = field(default_factory=dict)
    verdict: VerdictRules = field(default_factory=VerdictRules)

    def horizon(self, task_type: str) -> int:
        """How long after the call its outcomes count."""
        task = self.tasks.get(task_type)
        return self.horizon_us if task is None else task.horizon_us

    def required(self, task_type: str) -> tuple[str, ...]:
        """The sources that all must say success; mostly none."""
        task = self.tasks.get(task_type)
        return self.verdict.require if task is None or task.require is None else task.require

    def silence(self, task_type: str) -> bool | None:
        """The verdict that silence means, None for `expired`, as where sources are required."""
        task = self.tasks.get(task_type)
        return None if task is None or self.required(task_type) else task.silence

    def longest_hold(self) -> int:
        """Longest horizon plus lateness: no call is held longer."""
        return max([self.horizon_us, *(t.horizon_us for t in self.tasks.values())]) + self.allowed_lateness_us

    def waits_until(self, at: I64, wm: I64, call_at: I64) -> I64:
        """When the waits of outcomes for their calls end, us, shape (n,): fixed as they are accepted.

        Args:
            at: time of each.
            wm: watermark that it met, or `NEVER`.
            call_at: time of its call as it says, or `NEVER`.
        """
        # What is read late waits from then on: a call that was sent along with it is read at the same time.
        ends: I64 = np.maximum(at, wm) + self.orphan_wait_us
        hold = self.longest_hold()
        # While the call could still be accepted there is something to wait for.
        return np.where(call_at == NEVER, ends, np.maximum(ends, call_at + hold))

    def state(self) -> dict[str, Any]:
        """As plain values."""
        return asdict(self)

    @classmethod
    def from_state(cls, state: dict[str, Any]) -> JoinRules:
        """Read `state`."""
        verdict = state["verdict"]
        sources = {name: _source_rule(rule) for name, rule in verdict["sources"].items()}
        require = tuple(verdict.get("require", ()))
        return cls(
            **{name: state[name] for name in ("horizon_us", "allowed_lateness_us", "orphan_wait_us")},
            tasks={name: _task_rules(task) for name, task in state["tasks"].items()},
            verdict=VerdictRules(precedence=tuple(verdict["precedence"]), sources=sources, require=require),
        )


# Versions up to 4 had no `scale`, those up to 5 no `same_id`, `abstain`, `combine`, `require`. Tuples come as lists.


def _source_rule(state: dict[str, Any]) -> SourceRule:
    bounds = {name: None if (pair := state.get(name)) is None else (pair[0], pair[1]) for name in ("scale", "abstain")}
    return SourceRule(**{**state, **bounds})


def _task_rules(state: dict[str, Any]) -> TaskRules:
    require = state.get("require")
    return TaskRules(**{**state, "require": None if require is None else tuple(require)})
