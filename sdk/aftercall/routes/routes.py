"""Answers which arm the next call should have, from what one thread of each process has read."""

from __future__ import annotations

import os
import threading
import time
import weakref
from collections.abc import Callable, Collection
from typing import Final

from aftercall.routes.arms import Arm, Reason, Route
from aftercall.routes.draw import place_of, random_place
from aftercall.routes.reading import Reading
from aftercall.routes.source import RecommendationSource
from aftercall.routes.table import Table

_ALIVE: Final[weakref.WeakSet[Routes]] = weakref.WeakSet()


class Routes:
    """Draws arms as a source recommends them. Any thread may ask.

    Making one starts nothing. The thread that reads begins with the first `route` or `ready`, and again in a child that
    was forked since, which goes on with what its parent knew. It is a daemon: it holds up no end of a program.

    Args:
        source: where recommendations come from.
        clock: seconds since 1970 UTC, against which recommendations expire.
        place: where to draw for calls without a key: a number in [0, 1); for tests with a seed.

    Example:
        routes = Routes(KafkaSource("localhost:9092"))
        route = routes.route("support_triage", default=Arm("large", "prompt-v7"), key=user_id)
    """

    def __init__(
        self,
        source: RecommendationSource,
        *,
        clock: Callable[[], float] = time.time,
        place: Callable[[], float] = random_place,
    ) -> None:
        self._source, self._clock, self._place = source, clock, place
        self._table = Table(clock)
        self._reading: Reading | None = None
        self._closed = False
        self._lock = threading.Lock()
        _ALIVE.add(self)

    def route(
        self,
        task_type: str,
        default: Arm,
        *,
        segment: str | None = None,
        key: object = None,
        allowed: Collection[tuple[str, str]] | None = None,
    ) -> Route:
        """The arm for the next call. Never waits and never raises; costs some microseconds.

        Args:
            task_type: of the call.
            default: the arm where none is recommended; `reason` of the route says why.
            segment: of the call, where its task type has recommendations by segment; None: those for all calls.
            key: makes the draw sticky: the same key (of a user, a conversation) has the same arm for as long as weights
                stay, and changes it as far as they move. Over many keys arms are drawn by their weights all the same.
            allowed: the arms that can be called now, such as {Arm("large"), Arm("small")}: these alone are drawn, by
                their weights among each other, and `propensity` is that of this draw. The default need not be one.
        """
        try:
            reading = self._reading or self._started()
            found = self._drawn(task_type, segment, key, allowed)
            if isinstance(found, Route):
                reading.followed(task_type)
                return found
            reading.defaulted(task_type, found)
        except Exception:  # noqa: BLE001 - wrong arguments reach the caller as a route with a reason
            found = "invalid"
        model, config = _names(default)
        return Route(model, config, task_type, segment, reason=found)

    def ready(self, timeout: float = 10.0) -> bool:
        """Wait, at most `timeout` seconds, until the source was read to its end; returns whether it was."""
        self._reading or self._started()
        return self._table.wait(timeout)

    def close(self, timeout: float = 2.0) -> None:
        """End the thread, waiting at most `timeout` seconds; what is known stays until it expires."""
        with self._lock:
            self._closed = True
            reading = self._reading
        if reading is not None:
            reading.close(timeout)

    def __del__(self) -> None:
        reading = self.__dict__.get("_reading")
        if reading is not None:
            reading.close(0)

    def _drawn(
        self, task_type: str, segment: str | None, key: object, allowed: Collection[tuple[str, str]] | None
    ) -> Route | Reason:
        if not self._table.complete:
            return "not_ready"
        known = self._table.get(task_type)
        if known is None or segment not in known.segments:
            return "unknown_task"
        if known.valid_until <= self._clock():
            return "expired"
        weights = known.segments[segment]
        place = self._place() if key is None else place_of(known.task_type, key)
        drawn = None if weights is None else weights.at(place, allowed)
        if drawn is None:
            return "invalid"
        (model, config), propensity = drawn
        return Route(model, config, task_type, segment, known.recommendation_id, propensity)

    def _started(self) -> Reading:
        with self._lock:
            if self._reading is None:
                self._reading = Reading(self._source, self._table)
                if not self._closed:
                    self._reading.start()
            return self._reading

    def _after_fork(self) -> None:
        """The child has none of its parent's threads, and locks may be held by those."""
        self._lock = threading.Lock()
        self._table.after_fork()
        self._reading = None


def _names(default: object) -> tuple[str, str]:
    """Of an arm, a plain tuple, or whatever has a model and a config; of anything else what a call cannot have."""
    if isinstance(default, tuple) and len(default) == 2:
        return default
    return getattr(default, "model", ""), getattr(default, "config", "")


def _in_child() -> None:
    for routes in list(_ALIVE):
        routes._after_fork()  # noqa: SLF001 - our own


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_in_child)
