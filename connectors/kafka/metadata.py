"""Asks the broker, beside the dataflow, where partitions end and whether there are new ones."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping
from threading import Event, Thread
from typing import Final, NamedTuple

from confluent_kafka import IsolationLevel, KafkaException, TopicPartition
from confluent_kafka.admin import AdminClient, OffsetSpec  # type: ignore[attr-defined]

from connectors.kafka.client import open_admin
from connectors.kafka.cluster import ClientConfig
from connectors.kafka.lane_settings import Place

_TIMEOUT_S: Final = 10.0
_log = logging.getLogger("aftercall.kafka")


class Seen(NamedTuple):
    """What the broker said.

    Attributes:
        at_s: when it was asked, by the monotonic clock; what it said was true then or later.
        partitions: how many partitions each topic has; a topic that does not exist is missing.
        ends: offset at which each partition ends.
    """

    at_s: float
    partitions: Mapping[str, int]
    ends: Mapping[Place, int]


class KafkaWatch:
    """A thread that asks every `interval_s`; one per process, shared by its lanes."""

    def __init__(
        self,
        config: ClientConfig,
        topics: tuple[str, ...],
        interval_s: float,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        """`config`: of an admin client."""
        self._config, self._topics, self._interval_s, self._monotonic = config, topics, interval_s, monotonic
        self._thread: Thread | None = None
        self._stop = Event()
        self.seen: Seen | None = None
        self.failed_since_s: float | None = None
        """Since when the broker has not answered, by the monotonic clock; None: it does."""

    def trouble(self) -> str | None:
        """Why the broker cannot be counted on now; None where it can."""
        if self.failed_since_s is not None:
            return f"it has not answered for {self._monotonic() - self.failed_since_s:.0f} s"
        return "it has not been asked yet" if self.seen is None else None

    def start(self) -> None:
        """Begin; a second call does nothing."""
        if self._thread is None:
            self._thread = Thread(target=self._run, name="aftercall-watch", daemon=True)
            self._thread.start()

    def close(self) -> None:
        """End. A request under way is not waited for."""
        self._stop.set()

    def _run(self) -> None:
        admin = open_admin(self._config)
        while not self._stop.is_set():
            asked = self._monotonic()
            try:
                self.seen = self._ask(admin, asked)
                self._answered()
            except KafkaException as wrong:
                self._unanswered(asked, wrong)
            self._stop.wait(self._interval_s)

    def _ask(self, admin: AdminClient, asked: float) -> Seen:
        partitions = {}
        for name in self._topics:
            found = admin.list_topics(topic=name, timeout=_TIMEOUT_S).topics[name]
            if found.error is None:
                partitions[name] = len(found.partitions)
        places = [(name, i) for name, count in partitions.items() for i in range(count)]
        asked_for = {TopicPartition(name, i): OffsetSpec.latest() for name, i in places}  # type: ignore[no-untyped-call]
        if not asked_for:
            return Seen(asked, partitions, {})
        answers = admin.list_offsets(
            asked_for, isolation_level=IsolationLevel.READ_COMMITTED, request_timeout=_TIMEOUT_S
        )
        ends = {(place.topic, place.partition): answer.result().offset for place, answer in answers.items()}
        return Seen(asked, partitions, ends)

    def _answered(self) -> None:
        if self.failed_since_s is not None:
            away = self._monotonic() - self.failed_since_s
            _log.warning("the broker answers again, after %.0f s", away)
            self.failed_since_s = None

    def _unanswered(self, asked: float, wrong: KafkaException) -> None:
        if self.failed_since_s is None:
            self.failed_since_s = asked
            reason = wrong.args[0].str() if wrong.args else str(wrong)
            _log.warning("the broker does not answer (%s); waiting for it", reason)
