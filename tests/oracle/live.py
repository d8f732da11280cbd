"""A live pipeline in one process: partitions whose records come in any order of their times, up to the alerts."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from models.alerts import Alerting, AlertSettings
from models.drift import Drift, DriftSettings
from oracle.direct import Direct
from oracle.histories import History
from oracle.order import File
from oracle.records import Rules

if TYPE_CHECKING:
    from aftercall.records import Alert
    from models.groups import LateCalls
    from models.join import Joined
    from models.messages import Closed

HOUR_S, DAY_S = 3600.0, 86_400.0
START_S = 20_000 * DAY_S
"""A Thursday, at midnight."""


@dataclass
class Live(Direct):
    """The join, the group step, detectors and alerting."""

    closed: list[Closed] = field(default_factory=list)
    late: list[LateCalls] = field(default_factory=list)
    alerts: list[Alert] = field(default_factory=list)

    def __post_init__(self) -> None:
        super().__post_init__()
        settings = DriftSettings()
        self.drift = Drift(settings)
        self.alerting = Alerting(AlertSettings(settings.warmup_us, {}, settings.new_normal_after_us))

    def _take(self, joined: Joined) -> None:
        """Without what `Direct` keeps of each record."""
        self.tally.update(joined.tally)
        for refusal in joined.refused:
            self.dead[refusal.reason, refusal.call_id] += 1
        for code, minute, *counts in zip(*(c.tolist() for c in joined.changes.cells), strict=True):
            for name, count in zip(("calls", "successes", "failures", "expired", "cost"), counts, strict=True):
                self.cells[joined.changes.names[code], minute, name] += count
        grouped = self.groups.process(joined.changes)
        self.late += grouped.late
        if grouped.closed is not None:
            self.closed.append(grouped.closed)
            self.alerts += self.alerting.close(grouped.closed, self.drift.close(grouped.closed))

    @property
    def dead_reasons(self) -> dict[str, int]:
        """Dead letters by reason."""
        found: dict[str, int] = {}
        for (reason, _), count in self.dead.items():
            found[reason] = found.get(reason, 0) + count
        return found


def opened(alerts: Iterable[Alert]) -> list[Alert]:
    """Those that open an alert."""
    return [alert for alert in alerts if alert.state == "opened"]


def call(call_id: str, at_s: float, **fields: Any) -> dict[str, Any]:
    """A call of task `support`, by default of one model and config."""
    known = {"task_type": "support", "model": "large", "config": "v1"}
    return {"call_id": call_id, "occurred_at": rfc3339(at_s)} | known | fields


def outcome(call_id: str, at_s: float, *, success: bool, call_s: float | None = None, **fields: Any) -> dict[str, Any]:
    """Feedback on a call."""
    said = {"outcome_id": "o", "call_id": call_id, "occurred_at": rfc3339(at_s), "success": success}
    named = {} if call_s is None else {"call_occurred_at": rfc3339(call_s)}
    return {"source": "user_feedback"} | said | named | fields


def rfc3339(at_s: float) -> str:
    """A time."""
    return datetime.fromtimestamp(at_s, UTC).isoformat().replace("+00:00", "Z")


def history(calls: Sequence[dict[str, Any]], outcomes: Sequence[dict[str, Any]], rules: Rules | None = None) -> History:
    """A partition of calls and one of outcomes, each in the order in which it is sent."""
    files = [
        File(kind, tuple(json.dumps(record).encode() for record in records))
        for kind, records in (("calls", calls), ("outcomes", outcomes))
    ]
    return History(rules or Rules(), tuple(files))
