"""What routing knows of one task type."""

from __future__ import annotations

from aftercall.records import Alert
from aftercall.times import NEVER
from models.routing.arm_counts import ArmCounts
from models.routing.beside import Beside
from models.routing.dated_counts import DatedCounts
from models.routing.issued import Issued
from models.routing.presence import Presence
from models.routing.task_delays import TaskDelays
from models.routing.wanted import TaskRouting


class Task:
    """Counts, open alerts and issue counter of one task type."""

    def __init__(self, memory_us: int, wanted: TaskRouting) -> None:
        self.counts = ArmCounts(memory_us)
        self.beside = Beside(memory_us, wanted)
        self.dated = DatedCounts()
        self.delays = TaskDelays()
        self.presence = Presence()
        self.open_alerts: dict[str, Alert] = {}
        self.restarted: dict[int, int] = {}
        """By arm when it was last restarted, us."""
        self.found: dict[int, str] = {}
        """By arm why it was last restarted, where that was without an alert."""
        self.last: Issued | None = None
        self.beat = NEVER
        """When the last recommendation is issued again for the sake of those who still ask, as it has not changed."""
        self.seq = 0
        self.due = NEVER
        """The boundary at which what came since the last look is weighed."""

    @property
    def next(self) -> int:
        """The next instant at which evidence is weighed, if nothing comes before it; `NEVER` for none."""
        return min((at for at in (self.due, self.beat) if at > NEVER), default=NEVER)

    def restart(self, arm: int, since: int, now: int) -> None:
        """Count only outcomes of calls of an arm that were made from `since` on; both us."""
        self.counts.forget_before(arm, since)
        self.dated.restart(arm, since, now)
        self.beside.forget_before(arm, since)
        self.restarted[arm] = now
        self.found.pop(arm, None)
