"""The settings that decide which calls an outcome of a session reaches, and when; durations in microseconds."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from aftercall.times import DAY_US, HOUR_US, MINUTE_US


@dataclass(frozen=True, slots=True)
class SessionRules:
    """Horizons and waits of the join, and those of sessions. `revises`: sources with `same_id = "revises"`."""

    horizon_us: int = 30 * DAY_US
    allowed_lateness_us: int = HOUR_US
    orphan_wait_us: int = DAY_US
    session_wait_us: int = 5 * MINUTE_US
    task_horizon_us: Mapping[str, int] = field(default_factory=dict)
    revises: frozenset[str] = frozenset()
    most_reached: int = 1000
    """So many calls take part in one outcome, the newest."""
    most_ids: int = 1000
    """So many outcomes of one session are remembered."""
    most_calls: int = 10_000
    """So many calls of one session are known, the newest."""

    def horizon(self, task_type: str) -> int:
        """How long after a call its outcomes count."""
        return self.task_horizon_us.get(task_type, self.horizon_us)

    def longest(self) -> int:
        """The longest horizon."""
        return max([self.horizon_us, *self.task_horizon_us.values()])

    def hold(self) -> int:
        """The longest horizon and lateness: no call is held longer."""
        return self.longest() + self.allowed_lateness_us

    def wait(self) -> int:
        """How long after an outcome it is due. No longer than the lateness, or calls that it reaches could close."""
        return min(self.session_wait_us, self.allowed_lateness_us)

    def give_up_after(self) -> int:
        """How long an outcome waits for a call."""
        return max(self.wait(), min(self.orphan_wait_us, self.hold()))
