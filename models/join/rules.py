"""The settings that decide verdicts. A call is judged until it closes by those it was accepted under."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from aftercall.times import DAY_US
from models.join.ledger import SourceRule, VerdictRules


@dataclass(frozen=True, slots=True)
class TaskRules:
    """Overrides for one task type. `silence`: the verdict of a call on which nothing stands when it closes."""

    horizon_us: int
    silence: bool | None = None


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

    def silence(self, task_type: str) -> bool | None:
        """The verdict that silence means, None for `expired`."""
        task = self.tasks.get(task_type)
        return None if task is None else task.silence

    def longest_hold(self) -> int:
        """Longest horizon plus lateness: no call is held longer."""
        return max([self.horizon_us, *(t.horizon_us for t in self.tasks.values())]) + self.allowed_lateness_us

    def state(self) -> dict[str, Any]:
        """As plain values."""
        return asdict(self)

    @classmethod
    def from_state(cls, state: dict[str, Any]) -> JoinRules:
        """Read `state`."""
        verdict = state["verdict"]
        sources = {name: _source_rule(rule) for name, rule in verdict["sources"].items()}
        return cls(
            **{name: state[name] for name in ("horizon_us", "allowed_lateness_us", "orphan_wait_us")},
            tasks={name: TaskRules(**task) for name, task in state["tasks"].items()},
            verdict=VerdictRules(precedence=tuple(verdict["precedence"]), sources=sources),
        )


def _source_rule(state: dict[str, Any]) -> SourceRule:
    scale = state.get("scale")  # versions up to 4 had none
    return SourceRule(**{**state, "scale": None if scale is None else (scale[0], scale[1])})
