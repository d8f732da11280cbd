"""Accounts for every call that a guard was given."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Final, Literal, NamedTuple

Unjudged = Literal["queue_full", "late", "closed", "no_thread", "invalid", "defect"]
REASONS: Final[dict[Unjudged, str]] = {
    "queue_full": "not judged: too many calls were waiting to be judged",
    "late": "not judged: too late for the call's event",
    "closed": "not judged: the guard is closed, or the process ended",
    "no_thread": "not judged: no thread could be started",
    "invalid": "not judged: no event can be made of the call, as the log says",
    "defect": "not judged: a defect of aftercall, please report it",
}
FORKED: Final = "not judged here: the call belongs to the process that this one was forked from"
NEVER_ENDED: Final = "not judged: the call never ran to its end"
OFF: Final = "not judged: aftercall is switched off (AFTERCALL_DISABLED)"


class GuardStats(NamedTuple):
    """Counts of calls that ended under a guard since the process (after a fork: the child) began.

    `calls = judged + waiting + sum(unjudged)`, at every moment. `violations`: calls with one at least. `waiting_bytes`:
    about what these hold. `slow_runs`: runs of the user's code that took over a second; `left_threads`: threads that
    such runs still hold. `uncalled`: violations for which `on_violation` was not called, or did not return in time.
    """

    calls: int
    judged: int
    violations: int
    waiting: int
    waiting_bytes: int
    unjudged: Mapping[Unjudged, int]
    slow_runs: int
    left_threads: int
    uncalled: int

    @property
    def balanced(self) -> bool:
        """Whether the equation holds."""
        return self.calls == self.judged + self.waiting + sum(self.unjudged.values())


class Counts:
    """The counts themselves; those who change them hold the lock of the worker."""

    def __init__(self) -> None:
        self.calls = self.judged = self.violations = self.uncalled = 0
        self.unjudged: Counter[Unjudged] = Counter()
