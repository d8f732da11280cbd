"""Polls the broker, beside the dataflow, for topics, new partitions, and where partitions begin and end."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping
from threading import Event, Thread
from typing import Final, NamedTuple

from confluent_kafka import IsolationLevel, KafkaException, TopicCollection, TopicPartition
from confluent_kafka.admin import AdminClient, OffsetSpec  # type: ignore[attr-defined]

from connectors.background import ONLY_LOGGED, OnDefect, background
from connectors.kafka.answers import answer_of
from connectors.kafka.client import open_admin
from connectors.kafka.cluster import ClientConfig
from connectors.kafka.errors import displayable
from connectors.kafka.lane_settings import Place
from connectors.pauses import PAUSES

_TIMEOUT_S: Final = 10.0
_IDS_WITHIN_S: Final = 0.5
"""A broker that has answered all else answers this too, or cannot: then ids are asked for again at the next poll."""
_LOOK_EVERY_S: Final = 60.0
_log = logging.getLogger("aftercall.kafka")


class Bounds(NamedTuple):
    """Offsets of a partition.

    Attributes:
        first: of the first record left.
        stable: at which committed records end: the last stable offset.
        high: at which all records end, those of open transactions too: the high watermark.
    """

    first: int
    stable: int
    high: int

    @property
    def is_open(self) -> bool:
        """Whether a transaction is open, behind which there may be records that cannot be read yet."""
        return self.stable < self.high


class Metadata(NamedTuple):
    """What the broker reported.

    Attributes:
        at_s: when the request was sent, by the monotonic clock; the answer was true then or later.
        read_to_us: the greatest clock of all lanes at that moment, us.
        partitions: number of partitions of each topic; a topic that does not exist is missing.
        bounds: of each partition.
        topic_ids: of each topic: a topic that is deleted and created again has another one. Brokers may not have any.
    """

    at_s: float
    read_to_us: int
    partitions: Mapping[str, int]
    bounds: Mapping[Place, Bounds]
    topic_ids: Mapping[str, str]


class MetadataPoller:
    """A thread that polls every `interval_s`; one per process, shared by its lanes."""

    def __init__(
        self,
        config: ClientConfig,
        topics: tuple[str, ...],
        interval_s: float,
        read_to_us: Callable[[], int],
        monotonic: Callable[[], float] = time.monotonic,
        on_defect: OnDefect = ONLY_LOGGED,
        optional: str | None = None,
    ) -> None:
        """Prepare to poll.

        Args:
            config: of an admin client.
            topics: all whose partitions are read.
            interval_s: seconds between polls.
            read_to_us: see `Metadata`.
            monotonic: gives seconds.
            on_defect: called once a defect has ended the thread: the lanes would wait for ever without answers.
            optional: a topic that need not exist; it is looked for once a minute until it does.
        """
        self._config, self._topics, self._interval_s, self._monotonic = config, topics, interval_s, monotonic
        self._read_to_us, self._on_defect = read_to_us, on_defect
        self._optional, self._looked_s = optional, -_LOOK_EVERY_S
        self._thread: Thread | None = None
        self._stop = Event()
        self._without_ids = False
        self.latest: Metadata | None = None
        """The newest answer; None before the first one."""

    def start(self) -> None:
        """Start polling; a second call does nothing."""
        if self._thread is None:
            self._thread = background("aftercall-metadata", self._run, self._on_defect)
            self._thread.start()

    def close(self) -> None:
        """Stop polling, without waiting for a request in flight."""
        self._stop.set()

    def _run(self) -> None:
        admin = open_admin(self._config)
        while not self._stop.is_set():
            try:
                self.latest = self._poll(admin, self._monotonic(), self._read_to_us())
                PAUSES.end("broker", "broker")
            except KafkaException as wrong:
                reason = wrong.args[0].str() if wrong.args else str(wrong)
                PAUSES.begin("broker", "broker", f"the broker does not answer ({displayable(reason)}); retrying")
            self._stop.wait(self._interval_s)

    def _poll(self, admin: AdminClient, sent_s: float, read_to_us: int) -> Metadata:
        self._look_for_the_optional(admin, sent_s)
        partitions = {}
        for name in self._topics:
            topic = admin.list_topics(topic=name, timeout=_TIMEOUT_S).topics[name]
            if topic.error is None:
                partitions[name] = len(topic.partitions)
        places = [(name, i) for name, count in partitions.items() for i in range(count)]
        if not places:
            return Metadata(sent_s, read_to_us, partitions, {}, {})
        earliest, latest = OffsetSpec.earliest(), OffsetSpec.latest()  # type: ignore[no-untyped-call]
        first = _offsets(admin, places, earliest, IsolationLevel.READ_UNCOMMITTED)
        # In this order: what is appended in between must not look like an open transaction.
        high = _offsets(admin, places, latest, IsolationLevel.READ_UNCOMMITTED)
        stable = _offsets(admin, places, latest, IsolationLevel.READ_COMMITTED)
        bounds = {place: Bounds(first[place], stable[place], high[place]) for place in places}
        return Metadata(sent_s, read_to_us, partitions, bounds, self._ids(admin, list(partitions)))

    def _look_for_the_optional(self, admin: AdminClient, now_s: float) -> None:
        """Poll it too from now on, if it exists: asked for by its name, it might be created by the broker."""
        if self._optional is None or now_s - self._looked_s < _LOOK_EVERY_S:
            return
        self._looked_s = now_s
        if self._optional in admin.list_topics(timeout=_TIMEOUT_S).topics:
            self._topics, self._optional = (*self._topics, self._optional), None

    def _ids(self, admin: AdminClient, topics: list[str]) -> dict[str, str]:
        """The ids of topics, where the broker reports them."""
        ids = {}
        for name, answer in admin.describe_topics(TopicCollection(topics), request_timeout=_IDS_WITHIN_S).items():
            try:
                topic_id = answer_of(answer).topic_id
            except KafkaException as wrong:
                if not self._without_ids:
                    self._without_ids = True
                    _log.info(
                        "the broker does not report ids of topics (%s): a topic that is deleted and created again is "
                        "noticed by its offsets alone",
                        wrong.args[0].str(),
                    )
                continue
            if topic_id.get_most_significant_bits() or topic_id.get_least_significant_bits():
                ids[name] = str(topic_id)
        return ids


def _offsets(admin: AdminClient, places: list[Place], which: OffsetSpec, level: IsolationLevel) -> dict[Place, int]:
    requests = {TopicPartition(*place): which for place in places}
    answers = admin.list_offsets(requests, isolation_level=level, request_timeout=_TIMEOUT_S)
    return {(place.topic, place.partition): answer_of(answer).offset for place, answer in answers.items()}
