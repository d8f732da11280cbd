"""The stateful steps: each carries one plain object of `models` through Bytewax's recovery, and nothing else."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any, ClassVar, NamedTuple, Protocol, TypeVar

from bytewax.operators import StatefulBatchLogic

from aftercall.records import Alert, Digest, Recommendation
from connectors.metrics import METRICS
from flows.dataflow.shards import SHARDS
from models.alarms.alarm import Alarm
from models.alerts import Alerting, AlertSettings
from models.drift import Drift, DriftSettings
from models.groups import Groups
from models.join import Arrivals, Join, Joined, JoinRules, erase
from models.messages import Closed, Erasure
from models.routing import Routing, RoutingSettings
from models.state import Envelopes, Migrations, reading

Build = Callable[[bytes | None], StatefulBatchLogic[Any, Any, bytes]]


class Detected(NamedTuple):
    """Drift -> alerting: closed minutes, the alarms of the detectors in them, and the digests of weeks that ended."""

    closed: Closed
    alarms: list[Alarm]
    digests: Sequence[Digest]


class Alerted(NamedTuple):
    """Alerting -> routing and sinks: closed minutes, the alerts in them, and the digests of weeks that ended."""

    closed: Closed
    alerts: list[Alert]
    digests: Sequence[Digest] = ()


class _Model(Protocol):
    STATE_VERSION: ClassVar[int]
    MIGRATIONS: ClassVar[Migrations]

    def state(self) -> Any: ...


_M = TypeVar("_M", bound=_Model)


class Step(StatefulBatchLogic[Any, Any, bytes]):
    """Feeds messages to a model one by one; the model's state, in an envelope, is the state."""

    def __init__(
        self, name: str, key: str, envelopes: Envelopes, model: _Model, apply: Callable[[Any], Iterable[Any]]
    ) -> None:
        """`apply` takes one message and gives what leaves the step; `key` is the one that Bytewax has for it."""
        self._name, self._key, self._envelopes, self._model = name, key, envelopes, model
        self._apply = apply

    def on_batch(self, values: list[Any]) -> tuple[Iterable[Any], bool]:
        """Called with the messages that wait, in order."""
        return [result for value in values for result in self._apply(value)], StatefulBatchLogic.RETAIN

    def snapshot(self) -> bytes:
        """Called at each epoch's end."""
        state = self._envelopes.pack(self._name, self._key, self._model.STATE_VERSION, self._model.state())
        METRICS.state_bytes(self._name, str(id(self)), len(state))
        return state


class _ShardStep(Step):
    """A step with one logic per shard: Bytewax does not say for which one it builds a logic, but messages do."""

    def on_batch(self, values: list[Any]) -> tuple[Iterable[Any], bool]:
        if values:
            self._key = values[0].shard
        return super().on_batch(values)


def join_step(rules: JoinRules, envelopes: Envelopes) -> Build:
    """Arrivals or Erasure -> Joined, one step per shard."""

    def build(stored: bytes | None) -> Step:
        shard = "" if stored is None else envelopes.read(stored, "join").key
        join = _made("join", envelopes, stored, Join, lambda: Join(rules), lambda state: Join.from_state(state, rules))

        def apply(message: Arrivals | Erasure) -> tuple[Joined]:
            return (erase(join, message) if isinstance(message, Erasure) else join.process(message),)

        return _ShardStep("join", shard, envelopes, join, apply)

    return build


def groups_step(max_groups: int, envelopes: Envelopes) -> Build:
    """Changes -> Grouped."""
    count = len(SHARDS)

    def build(stored: bytes | None) -> Step:
        groups = _made(
            "groups",
            envelopes,
            stored,
            Groups,
            lambda: Groups(count, max_groups),
            lambda state: Groups.from_state(state, count, max_groups),
        )
        return Step("groups", "groups", envelopes, groups, lambda changes: (groups.process(changes),))

    return build


def drift_step(settings: DriftSettings, envelopes: Envelopes) -> Build:
    """Closed -> Detected."""

    def build(stored: bytes | None) -> Step:
        drift = _made(
            "drift", envelopes, stored, Drift, lambda: Drift(settings), lambda state: Drift.from_state(state, settings)
        )

        def apply(closed: Closed) -> tuple[Detected]:
            return (Detected(closed, drift.close(closed), drift.digests()),)

        return Step("drift", "drift", envelopes, drift, apply)

    return build


def alerting_step(settings: AlertSettings, envelopes: Envelopes) -> Build:
    """Detected -> Alerted: the alarms of one cause become one alert."""

    def build(stored: bytes | None) -> Step:
        alerting = _made(
            "alerting",
            envelopes,
            stored,
            Alerting,
            lambda: Alerting(settings),
            lambda state: Alerting.from_state(state, settings),
        )

        def apply(detected: Detected) -> tuple[Alerted]:
            closed, alarms, digests = detected
            return (Alerted(closed, alerting.close(closed, alarms), digests),)

        return Step("alerting", "alerting", envelopes, alerting, apply)

    return build


def routing_step(settings: RoutingSettings, envelopes: Envelopes) -> Build:
    """Alerted -> Recommendation."""

    def build(stored: bytes | None) -> Step:
        routing = _made(
            "routing",
            envelopes,
            stored,
            Routing,
            lambda: Routing(settings),
            lambda state: Routing.from_state(state, settings),
        )

        def apply(alerted: Alerted) -> list[Recommendation]:
            return routing.close(alerted.closed, alerted.alerts)

        return Step("routing", "routing", envelopes, routing, apply)

    return build


def _made(
    name: str,
    envelopes: Envelopes,
    stored: bytes | None,
    model: type[_M],
    fresh: Callable[[], _M],
    restored: Callable[[Any], _M],
) -> _M:
    """The model of a step: a fresh one, or the one whose state is stored.

    Raises:
        StateError: the state cannot be used.
    """
    if stored is None:
        return fresh()
    state = envelopes.unpack(stored, name, model.STATE_VERSION, model.MIGRATIONS)
    with reading(f"step {name!r}"):
        return restored(dict(state))
