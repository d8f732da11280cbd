"""An incident: one cause, and the life of its alert: opened, updated, closed, perhaps opened again."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Final

from aftercall.records import Alert, Direction, alert_id
from aftercall.times import MINUTE_US, MINUTES_PER_HOUR, to_datetime
from aftercall.vocabulary import CONTRACT, EVERY_TASK
from models.alarms.digits import significant
from models.alerts.scope import Scope, covers
from models.alerts.sentences import beside_text, merged_text, metric_text, normal_text
from models.alerts.severity import severity_of
from models.alerts.side_alarms import JOINED, SOONER_BY, SideAlarm, gravest, is_of_source
from models.stats.effect_size import Effect

_RATES: Final = frozenset({"drift", CONTRACT})
"""Kinds of alarms on rates."""
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
        others: what else changed in the scope at that time.
        text: what changed, as it would stand beside another headline.
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
    others: list[SideAlarm] = field(default_factory=list)
    text: str = ""

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
        lists = {name: list(plain[name]) for name in ("moves", "members", "back")}
        others = [
            SideAlarm(**{**one, "groups": list(one["groups"]), "back": list(one["back"])})
            for one in plain.get("others", ())
        ]
        return cls(**plain | lists | {"others": others})

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
        """The next record: the last one with changes, and what stands beside it."""
        task, model, config = self._on_the_wire()
        self.record.update(
            changes, task_type=task, model=model, config=config, seq=self.record["seq"] + 1, updated_at=to_datetime(at)
        )
        beside = {
            "severity": gravest(self.record["severity"], self.others),
            "reason": self.record["reason"] + beside_text([other.within(self.scope) for other in self.others]),
            "other_alarms": [other.on_the_wire() for other in self.others],
        }
        return Alert.sealed(**self.record | beside)

    def close(self, at: int, reason: str, *, recovered: bool, **changes: Any) -> Alert:
        """The last record: over, or the new normal."""
        self.closed, self.recovered = at, recovered
        return self.issue(at, state="closed", closed_at=to_datetime(at), reason=reason, **changes)

    def beside(self) -> list[SideAlarm]:
        """Its headline and what stands beside it, as they stand beside another headline."""
        record = self.record
        mine = SideAlarm(
            self.kind,
            self.metric,
            self.direction,
            self.scope,
            self.moves[0],
            record["baseline"],
            record["current"],
            record["promise"] is not None,
            record["severity"],
            self.text or metric_text(self.metric),  # stored before it was kept
            self.members or [self.scope],
            self.back,
        )
        return [mine, *self.others]

    def become(self, headline: Incident) -> None:
        """Take another headline; the present one stands beside it from now on. Its alert stays the same."""
        self.others = self.beside()
        for name in ("kind", "metric", "direction", "scope", "opened", "moves", "members", "back", "text"):
            setattr(self, name, getattr(headline, name))
        self.checks = 0
        self.record |= {"kind": self.kind, "metric": self.metric, "direction": self.direction}
        self.record |= {"changed_at": to_datetime(self.moves[0] * MINUTE_US)}
        self.record |= {"failures_per_day": None, "caveat": None, "slices": [], "split": [], "mixes": []}

    def same_time(self, changed: int, wait: int = 0) -> bool:
        """Whether what changed at a minute may have changed with it.

        Args:
            changed: of the other change.
            wait: minutes by which that is dated later than this one, at most.
        """
        return any(move - SOONER_BY <= changed <= max(move, self.opened_minute) + SLACK + wait for move in self.moves)

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

    def with_cause(self, scope: Scope, changed: int) -> Incident | None:
        """The newest open one within whose scope and time a change on `scope` at minute `changed` lies."""
        for incident in reversed(self.all):
            fits = incident.closed is None and incident.kind in JOINED and covers(incident.scope, scope)
            if fits and incident.same_time(changed):
                return incident
        return None

    def narrower_cause(self, scope: Scope, changed: int, *, worse: bool) -> Incident | None:
        """The newest open one on success rates or rules within `scope`, of which a roll-up shows the same change."""
        for incident in reversed(self.all):
            fits = incident.closed is None and incident.kind in _RATES and covers(scope, incident.scope)
            if fits and is_worse(incident.kind, incident.direction) == worse and incident.same_time(changed):
                return incident
        return None

    def take_over(
        self, headline: Incident, at: int, wait: int, causes: Sequence[Incident] = (), **fields: Any
    ) -> list[Alert]:
        """Open the alert of a success rate; where open ones on other metrics are of its cause, become the first.

        Args:
            headline: of the success rate; not yet among all.
            at: of its alarm.
            wait: minutes from calls to verdicts, by which its change is dated later than theirs.
            causes: open alerts that are not among all, and are of its cause.
            fields: of its record.
        """
        self.all += causes
        caused = [one for one in self.open() if any(one is cause for cause in causes)]
        parts = [one for one in self.open() if self._part_of(one, headline, wait) and one not in caused] + caused
        if not parts:
            return [self.begin(headline, at, **fields)]
        first, *rest = parts
        first.become(headline)
        merged = self._merged(first, rest, at)
        return [first.issue(at, state="updated", **fields), *merged]

    def absorb(self, incident: Incident, at: int) -> list[Alert]:
        """Put what a scope that has become wider covers beside its headline, and close those alerts."""
        parts = [one for one in self.open() if one is not incident and self._part_of(one, incident, 0)]
        return self._merged(incident, parts, at)

    def _part_of(self, part: Incident, headline: Incident, wait: int) -> bool:
        values = part.kind in JOINED and part.metric != headline.metric
        within = covers(headline.scope, part.scope)
        within |= (is_of_source(part.metric) or part.kind == CONTRACT) and covers(
            part.scope, headline.scope
        )  # a roll-up of the same change
        return values and within and part.same_time(headline.moves[0], wait)

    def _merged(self, incident: Incident, parts: list[Incident], at: int) -> list[Alert]:
        for part in parts:
            incident.others += part.beside()
            part.others = []
            self.all.remove(part)
        return [part.merge(at, incident) for part in parts]

    def forget(self, before: int) -> None:
        """Drop those that were closed before `before` (microseconds)."""
        self.all = [incident for incident in self.all if incident.closed is None or incident.closed >= before]


def is_worse(kind: str, direction: Direction) -> bool:
    """Of rates: fewer successes are worse, and more violations.

    >>> is_worse("drift", "down"), is_worse("contract", "down")
    (True, False)
    """
    return direction == ("up" if kind == CONTRACT else "down")


def family(kind: str, metric: str) -> tuple[str, str]:
    """What is measured: several tests may watch it, such as the mean of the latency and its quantiles.

    >>> family("quantile", "latency_ms:p90") == family("shift", "latency_ms")
    True
    >>> family("quantile", "score:p10:judge") == family("shift", "score:judge")
    True
    >>> family("volume", "responses:judge") == family("volume", "responses:user")
    False
    """
    if kind == "quantile":
        name, _, rest = metric.partition(":")
        _, colon, source = rest.partition(":")
        return "values", name + colon + source
    return ("values", metric) if kind == "shift" else (kind, metric)


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
