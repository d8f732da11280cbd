"""The stateful steps: each carries one plain object of `models` through Bytewax's recovery, and nothing else."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple, Protocol

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


class _Stateful(Protocol):
    def state(self) -> bytes: ...


class Step(StatefulBatchLogic[Any, Any, bytes]):
    """Feeds messages to a model one by one; the model's bytes are the state."""

    def __init__(self, name: str, model: _Stateful, apply: Callable[[Any], Iterable[Any]]) -> None:
        """`apply` takes one message and gives what leaves the step."""
        self._name, self._model = name, model
        self._apply = apply

    def on_batch(self, values: list[Any]) -> tuple[Iterable[Any], bool]:
        """Called with the messages that wait, in order."""
        return [result for value in values for result in self._apply(value)], StatefulBatchLogic.RETAIN

    def snapshot(self) -> bytes:
        """Called at each epoch's end."""
        state = self._model.state()
        METRICS.state_bytes(self._name, str(id(self)), len(state))
        return state


def join_step(rules: JoinRules) -> Build:
    """Arrivals or Erasure -> Joined, one step per shard."""

    def build(state: bytes | None) -> Step:
        join = Join(rules) if state is None else Join.from_state(state, rules)

        def apply(message: Arrivals | Erasure) -> tuple[Joined]:
            return (erase(join, message) if isinstance(message, Erasure) else join.process(message),)

        return Step("join", join, apply)

    return build


def groups_step(max_groups: int) -> Build:
    """Changes -> Grouped."""

    def build(state: bytes | None) -> Step:
        count = len(SHARDS)
        groups = Groups(count, max_groups) if state is None else Groups.from_state(state, count, max_groups)
        return Step("groups", groups, lambda changes: (groups.process(changes),))

    return build


def drift_step(settings: DriftSettings) -> Build:
    """Closed -> Detected."""

    def build(state: bytes | None) -> Step:
        drift = Drift(settings) if state is None else Drift.from_state(state, settings)
        return Step("drift", drift, lambda closed: (Detected(closed, drift.close(closed), drift.digests()),))

    return build


def alerting_step(settings: AlertSettings) -> Build:
    """Detected -> Alerted: the alarms of one cause become one alert."""

    def build(state: bytes | None) -> Step:
        alerting = Alerting(settings) if state is None else Alerting.from_state(state, settings)

        def apply(detected: Detected) -> tuple[Alerted]:
            closed, alarms, digests = detected
            return (Alerted(closed, alerting.close(closed, alarms), digests),)

        return Step("alerting", alerting, apply)

    return build


def routing_step(settings: RoutingSettings) -> Build:
    """Alerted -> Recommendation."""

    def build(state: bytes | None) -> Step:
        routing = Routing(settings) if state is None else Routing.from_state(state, settings)

        def apply(alerted: Alerted) -> list[Recommendation]:
            return routing.close(alerted.closed, alerted.alerts)

        return Step("routing", routing, apply)

    return build
