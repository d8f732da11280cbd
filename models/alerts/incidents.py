"""An incident: one cause, and the life of its alert: opened, updated, closed, perhaps opened again."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any, Final

from aftercall.records import Alert, Direction, alert_id
from aftercall.times import MINUTE_US, MINUTES_PER_HOUR, to_datetime
from aftercall.vocabulary import EVERY_TASK
from models.alarms.digits import significant
from models.alerts.scope import Scope
from models.alerts.sentences import merged_text, normal_text
from models.alerts.severity import severity_of
from models.stats.effect_size import Effect

SLACK: Final = 6 * MINUTES_PER_HOUR
"""Minutes: changes are dated with an error of up to 6 h at 100 trials a day; within it, two may be one."""


@dataclass
class Incident:
    """Times in minutes since 1970, `opened` and `closed` in microseconds.

    Attributes:
        kind, metric, direction: of the alarms.
        scope: what it is about.
        opened: when its alert was opened.
        moves: when its level changed: first the estimated start, last the present level's or the recovery's.
        record: fields of its newest record.
        members: groups that alarmed, of metrics without counts.
        back: members whose change is over.
        closed: when its alert was closed.
        recovered: it was closed because the change is over.
        checks: how many of the scheduled looks at it are done.
    """

    kind: str
    metric: str
    direction: Direction
    scope: Scope
    opened: int
    moves: list[int]
    record: dict[str, Any] = field(default_factory=dict)
    members: list[Scope] = field(default_factory=list)
    back: list[Scope] = field(default_factory=list)
    closed: int | None = None
    recovered: bool = False
    checks: int = 0

    @property
    def opened_minute(self) -> int:
        """The minute after the alarm: what lies from here on did not raise it."""
        return self.opened // MINUTE_US

    def plain(self) -> dict[str, Any]:
        """Plain values."""
        return asdict(self)

    @classmethod
    def from_plain(cls, plain: dict[str, Any]) -> Incident:
        """The reverse of `plain`."""
        return cls(**plain | {name: list(plain[name]) for name in ("moves", "members", "back")})

    def open(self, ordinal: int, at: int, **fields: Any) -> Alert:
        """The first record. `ordinal` counts the alerts of this kind, scope, metric and direction."""
        self.record = {
            "alert_id": alert_id(self.kind, self._on_the_wire(), self.metric, self.direction, ordinal),
            "seq": 0,
            "kind": self.kind,
            "metric": self.metric,
            "direction": self.direction,
            "opened_at": to_datetime(at),
            "closed_at": None,
            "changed_at": to_datetime(self.moves[0] * MINUTE_US),
            "failures_per_day": None,
            "caveat": None,
            "slices": [],
        }
        return self.issue(at, state="opened", **fields)

    def issue(self, at: int, **changes: Any) -> Alert:
        """The next record: the last one with changes."""
        task, model, config = self._on_the_wire()
        self.record.update(
            changes, task_type=task, model=model, config=config, seq=self.record["seq"] + 1, updated_at=to_datetime(at)
        )
        return Alert.sealed(**self.record)

    def close(self, at: int, reason: str, *, recovered: bool, **changes: Any) -> Alert:
        """The last record: over, or the new normal."""
        self.closed, self.recovered = at, recovered
        return self.issue(at, state="closed", closed_at=to_datetime(at), reason=reason, **changes)

    def merge(self, at: int, other: Incident) -> Alert:
        """Close it: it has turned out to be part of another."""
        reason = merged_text(self.metric, self.scope, other.scope)
        evidence = {**self.record["evidence"], "part_of": other.record["alert_id"]}
        return self.close(at, reason, recovered=False, evidence=evidence)

    def normal(self, at: int) -> Alert:
        """Close it: the level has stayed for so long that it is the new normal."""
        return self.close(at, normal_text(self.metric, self.scope, self.opened), recovered=False)

    def _on_the_wire(self) -> tuple[str, str | None, str | None]:
        """The scope as records have it: no producer can send the name that stands for all task types."""
        task, model, config = self.scope
        return EVERY_TASK if task is None else task, model, config


class Incidents:
    """All incidents that still matter: open ones, and closed ones as long as they may explain late alarms."""

    def __init__(self, state: dict[str, Any] | None = None) -> None:
        """Start empty, or with the `state()` of another."""
        self.all: list[Incident] = [] if state is None else [Incident.from_plain(plain) for plain in state["all"]]
        self._count: dict[tuple[str, Scope, str, str], int] = {} if state is None else dict(state["count"])

    def state(self) -> dict[str, Any]:
        """Plain values."""
        return {"all": [incident.plain() for incident in self.all], "count": self._count}

    def begin(self, incident: Incident, at: int, **fields: Any) -> Alert:
        """Open a new incident's alert."""
        key = (incident.kind, incident.scope, incident.metric, incident.direction)
        ordinal = self._count[key] = self._count.get(key, 0) + 1
        self.all.append(incident)
        return incident.open(ordinal, at, **fields)

    def open(self) -> list[Incident]:
        """Those whose alert is open, the oldest first."""
        return [incident for incident in self.all if incident.closed is None]

    def of_family(self, kind: str, metric: str) -> list[Incident]:
        """Those of what a kind and metric measure, the newest first."""
        wanted = family(kind, metric)
        return [incident for incident in reversed(self.all) if family(incident.kind, incident.metric) == wanted]

    def forget(self, before: int) -> None:
        """Drop those that were closed before `before` (microseconds)."""
        self.all = [incident for incident in self.all if incident.closed is None or incident.closed >= before]


def family(kind: str, metric: str) -> tuple[str, str]:
    """What is measured: several tests may watch it, such as the mean of the latency and its quantiles.

    >>> family("quantile", "latency_ms:p90") == family("shift", "latency_ms")
    True
    >>> family("response", "response_rate:judge") == family("response", "response_rate:user")
    False
    """
    return ("values", metric.partition(":p")[0]) if kind in {"shift", "quantile"} else (kind, metric)


def measured(effect: Effect, per_day: float) -> dict[str, Any]:
    """The fields of a record that an effect gives; `per_day`: failures that it costs."""
    return {
        "severity": severity_of(effect.points, per_day),
        "baseline": significant(effect.baseline),
        "current": significant(effect.current),
        "effect_low": significant(effect.low),
        "effect_high": significant(effect.high),
        "failures_per_day": significant(per_day),
    }
