"""The stateful steps: each carries one plain object of `models` through Bytewax's recovery, and nothing else."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, ClassVar, Final, NamedTuple, Protocol, TypeVar, cast

from bytewax.operators import StatefulBatchLogic

from aftercall.records import Alert, Digest, Recommendation
from aftercall.times import HOUR_S
from aftercall.trust_record import TrustRecord
from connectors.segments.messages import Segment
from flows.dataflow.gathering import Gathering
from flows.dataflow.shards import SHARDS
from flows.dataflow.split_keys import SplitKeys
from flows.dataflow.stored_state import ChangingState, Keeping, Loaded, Merge, StoredState, Tracked
from models.alarms.alarm import Alarm
from models.alerts import Alerting, AlertSettings
from models.drift import Drift, DriftSettings, Suspicions
from models.groups import Caps, Grouped, Groups
from models.join import NONE_DECLARED, Answer, Arrivals, Join, Joined, JoinRules, Segments, erase, merged_shard
from models.messages import AnyGroup, Changes, Closed, Erasure, Restart
from models.routing import Routing, RoutingSettings
from models.sessions import (
    Resolving,
    SessionBook,
    SessionErasure,
    SessionPart,
    SessionRules,
    SessionShard,
    merged_sessions,
)
from models.side_messages import Judge
from models.state import Migrations, reading
from models.trust import Trust, TrustSettings

Build = Callable[[bytes | None], StatefulBatchLogic[Any, Any, bytes]]


class Detected(NamedTuple):
    """Drift -> alerting: closed minutes, the alarms of the detectors in them, and the digests of weeks that ended.

    `suspicions`: at the end of the last whole hour, None where none has ended. `design_effects`: those that changed.
    `restarts`: changes of arms that routing acts on.
    """

    closed: Closed
    alarms: list[Alarm]
    digests: Sequence[Digest]
    suspicions: Suspicions | None = None
    design_effects: Sequence[tuple[AnyGroup, float]] = ()
    restarts: Sequence[Restart] = ()


class Alerted(NamedTuple):
    """Alerting -> routing and sinks: closed minutes, the alerts in them, and the digests of weeks that ended.

    `open_alerts`: how many alerts are open after these minutes. `suspicions`, `design_effects`,
    `restarts`: as in `Detected`.
    """

    closed: Closed
    alerts: list[Alert]
    digests: Sequence[Digest] = ()
    open_alerts: int = 0
    suspicions: Suspicions | None = None
    design_effects: Sequence[tuple[AnyGroup, float]] = ()
    restarts: Sequence[Restart] = ()


class _Model(Protocol):
    STATE_VERSION: ClassVar[int]
    MIGRATIONS: ClassVar[Migrations]

    def state(self) -> Any: ...

    @classmethod
    def from_state(cls, state: Any, *arguments: Any) -> Any: ...


_M = TypeVar("_M", bound=_Model)


class Step(StatefulBatchLogic[Any, Any, bytes]):
    """Feeds messages to a model one by one. What leaves are results, and segments of its state for their sink."""

    def __init__(self, key: str, kept: StoredState, apply: Callable[[Any], Iterable[Any]]) -> None:
        """`apply` takes one message and gives what leaves the step; `key` is the one that Bytewax has for it."""
        self._kept, self._apply = kept, apply
        kept.key = key

    def on_batch(self, values: list[Any]) -> tuple[Iterable[Any], bool]:
        """Called with the messages that wait, in order."""
        results = [result for value in values for result in self._apply(value)]
        return results + self._kept.due(), StatefulBatchLogic.RETAIN

    def snapshot(self) -> bytes:
        """Called at each epoch's end."""
        return self._kept.stored()


def is_segment(item: tuple[str, Any]) -> bool:
    """Whether what left a step is a segment of its state."""
    return isinstance(item[1], Segment)


class _ShardStep(Step):
    """A step with one logic per shard: Bytewax does not say for which one it builds a logic, but messages do."""

    def on_batch(self, values: list[Any]) -> tuple[Iterable[Any], bool]:
        if values:
            self._kept.key = values[0].shard
        return super().on_batch(values)


class Joining(NamedTuple):
    """What the join and the sessions before it need beside their rules.

    Attributes:
        seed: the secret of the run's folder; nothing that leaves depends on it.
        max_waiting: how many outcomes may wait for their calls, in all shards together.
        max_sessions: how many sessions may be known, likewise.
        blocked: called with a shard's number and what `Join.blocked` is.
        segments: by task type, those whose rates are kept.
        watched: sources whose opinions are trials of their own.
        monotonic: a clock in seconds. In a service the ids that outcomes wait for leave once an hour of it, and at the
            end of files whatever it shows.
        split: called with how many calls were found on two partitions; None: partitions are files, and nothing is.
        judge: makes what judges the calls that a shard accepts by contracts; None: there are none.
        session_book: makes what judges the sessions of a shard by contracts; None: none has rules over sessions.
    """

    seed: int = 0
    max_waiting: int = 5_000_000
    blocked: Callable[[int, int | None], None] = lambda _shard, _needed: None
    monotonic: Callable[[], float] | None = None
    max_sessions: int = 5_000_000
    segments: Segments = NONE_DECLARED
    split: Callable[[int], None] | None = None
    judge: Callable[[], Judge] | None = None
    watched: frozenset[str] = frozenset()
    session_book: Callable[[], SessionBook] | None = None


_JOINING: Final = Joining()
MOST_UNMATCHED: Final = 200
"""So many ids of a shard are looked at: it is for a hint."""


class _Unmatched:
    """Decides when the ids that outcomes wait for are looked at."""

    def __init__(self, join: Join, monotonic: Callable[[], float] | None) -> None:
        self._join, self._monotonic = join, monotonic
        self._at_s = 0.0 if monotonic is None else monotonic()
        self._any = False

    def is_due(self, *, last: bool) -> bool:
        """Whether they are now: at the end, and each hour in which some wait or no longer do."""
        hourly = self._monotonic is not None and self._monotonic() - self._at_s >= HOUR_S
        if not (hourly or last):
            return False
        self._at_s += HOUR_S
        before, self._any = self._any, len(self._join.early) > 0
        return before or self._any


def sessions_step(rules: SessionRules, keeping: Keeping, joining: Joining = _JOINING) -> Build:
    """SessionPart or SessionErasure -> Resolving, one step per shard. Each has an equal part of the room."""
    room = max(1, joining.max_sessions // len(SHARDS))

    def build(stored: bytes | None) -> Step:
        beside = joining.seed, room, None if joining.session_book is None else joining.session_book()
        sessions, kept = _made("sessions", keeping, stored, SessionShard, rules, *beside, merge=merged_sessions)

        def apply(message: SessionPart | SessionErasure) -> tuple[Resolving]:
            if isinstance(message, SessionErasure):
                return (sessions.erase(message),)
            return (sessions.process(message),)

        return _ShardStep(kept.key, kept, apply)

    return build


def join_step(rules: JoinRules, keeping: Keeping, joining: Joining = _JOINING, *, answers: int = 0) -> Build:
    """Arrivals, Answer or Erasure -> Joined, one step per shard. Each has an equal part of the room for early outcomes.

    `answers`: so many session shards answer each batch; without any, batches are taken as they come.
    """
    room = max(1, joining.max_waiting // len(SHARDS))

    def build(stored: bytes | None) -> Step:
        judge = None if joining.judge is None else joining.judge()
        beside = joining.seed, room, joining.segments, judge, joining.watched
        join, kept = _made("join", keeping, stored, Join, rules, *beside, merge=merged_shard)

        unmatched, gathering = _Unmatched(join, joining.monotonic), Gathering(answers)
        split_keys = None if joining.split is None else SplitKeys(joining.split)

        def take(message: Arrivals | Erasure) -> Joined:
            if split_keys is not None and isinstance(message, Arrivals):
                split_keys.take(message)
            joined = erase(join, message) if isinstance(message, Erasure) else join.process(message)
            if unmatched.is_due(last=isinstance(message, Arrivals) and message.last):
                joined = joined._replace(unmatched=join.early.calls_of(MOST_UNMATCHED))
            joining.blocked(SHARDS.index(message.shard), join.blocked)
            return joined

        def apply(message: Arrivals | Erasure | Answer) -> Iterator[Joined]:
            return map(take, gathering.add(message))

        return _ShardStep(kept.key, kept, apply)

    return build


def groups_step(caps: Caps, keeping: Keeping, unlearned: str | None = None) -> Build:
    """Changes -> Grouped. `unlearned`: a source whose delays say nothing of how long others take."""

    def build(stored: bytes | None) -> Step:
        groups, kept = _made("groups", keeping, stored, Groups, len(SHARDS), caps, unlearned)

        def apply(changes: Changes) -> tuple[Grouped]:
            if changes.erased:
                kept.renew()
            return (groups.process(changes),)

        return Step("groups", kept, apply)

    return build


def drift_step(settings: DriftSettings, keeping: Keeping) -> Build:
    """Closed -> Detected."""

    def build(stored: bytes | None) -> Step:
        drift, kept = _made("drift", keeping, stored, Drift, settings)

        def apply(closed: Closed) -> tuple[Detected]:
            alarms = drift.close(closed)
            closed = closed._replace(shared=drift.shared(), lengths=drift.lengths())
            beside = drift.digests(), drift.suspicions(), drift.design_effects(), drift.restarts()
            return (Detected(closed, alarms, *beside),)

        return Step("drift", kept, apply)

    return build


def alerting_step(settings: AlertSettings, keeping: Keeping) -> Build:
    """Detected -> Alerted: the alarms of one cause become one alert."""

    def build(stored: bytes | None) -> Step:
        alerting, kept = _made("alerting", keeping, stored, Alerting, settings)

        def apply(detected: Detected) -> tuple[Alerted]:
            closed, alarms, digests, suspicions, effects, restarts = detected
            alerts = alerting.close(closed, alarms)
            return (Alerted(closed, alerts, digests, alerting.open_alerts, suspicions, effects, restarts),)

        return Step("alerting", kept, apply)

    return build


def routing_step(settings: RoutingSettings, keeping: Keeping) -> Build:
    """Alerted -> Recommendation."""

    def build(stored: bytes | None) -> Step:
        routing, kept = _made("routing", keeping, stored, Routing, settings)

        def apply(alerted: Alerted) -> list[Recommendation]:
            return routing.close(alerted.closed, alerted.alerts, alerted.restarts)

        return Step("routing", kept, apply)

    return build


def trust_step(settings: TrustSettings, keeping: Keeping) -> Build:
    """Alerted -> TrustRecord."""

    def build(stored: bytes | None) -> Step:
        trust, kept = _made("trust", keeping, stored, Trust, settings)

        def apply(alerted: Alerted) -> list[TrustRecord]:
            return trust.close(alerted.closed)

        return Step("trust", kept, apply)

    return build


def _made(
    name: str, keeping: Keeping, stored: bytes | None, model: type[_M], *arguments: Any, merge: Merge | None = None
) -> tuple[_M, StoredState]:
    """The model of a step, a fresh one or the one whose state is stored, and what stores it from now on.

    Both are made with the same `arguments`. Without `merge`, the model does not know what has changed in it.

    Raises:
        StateError: the state cannot be used.
    """
    loaded = None
    if stored is None:
        made = model(*arguments)
    else:
        loaded = Loaded(keeping, name, stored, None, model.STATE_VERSION, model.MIGRATIONS)
        state = loaded.state(merge or Tracked.merge)
        state = loaded.migrated(state, model.STATE_VERSION, model.MIGRATIONS)
        with reading(loaded.place):
            made = model.from_state(dict(state), *arguments)
    source = Tracked(made.state) if merge is None else cast("ChangingState", made)
    return made, StoredState(keeping, name, model.STATE_VERSION, source, loaded)
