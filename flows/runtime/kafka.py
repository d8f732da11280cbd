"""The settings of Kafka as the connectors take them: where the broker is, and a sink for each output topic."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable

from connectors.kafka.after_epoch import AfterEpoch
from connectors.kafka.client import KafkaFailure, Reached, StoppedWaiting, producer_config, reach
from connectors.kafka.cluster import hide_secrets
from connectors.kafka.sink import KafkaSink
from connectors.kafka.writer import KafkaWriter, WriterCallbacks
from connectors.metrics import METRICS
from flows.dataflow.snapshot_sink import SnapshotSink
from flows.outcomes import Outlets
from flows.settings.sections import Kafka

_log = logging.getLogger("aftercall.kafka")
START_WITHIN_S = 60.0
SAY_AFTER_S = 2.0


def inputs(kafka: Kafka) -> tuple[str, str]:
    """The topics that are read: calls, outcomes."""
    return kafka.topics.calls, kafka.topics.outcomes


def output_topics(kafka: Kafka) -> tuple[str, ...]:
    """The topics that are written."""
    topics = kafka.topics
    return topics.verdicts, topics.alerts, topics.recommendations, topics.dead_letters


def outlets(kafka: Kafka, snapshot: SnapshotSink, *, beat: Callable[[], None], give_up: Callable[[], bool]) -> Outlets:
    """Sinks that share one producer."""
    callbacks = WriterCallbacks(
        beat=beat,
        give_up=give_up,
        confirmed=METRICS.outputs,
        refused=METRICS.output_refused,
        passing_error=METRICS.broker_error,
    )
    writer = KafkaWriter(producer_config(kafka.cluster()), kafka.topics.dead_letters, callbacks)
    verdicts, alerts, recommendations, letters = (KafkaSink(writer, topic) for topic in output_topics(kafka))
    return Outlets(verdicts, AfterEpoch(alerts), AfterEpoch(recommendations), letters, snapshot)


def finish(sinks: Outlets) -> None:
    """Send what the last epoch held back, now that it is stored. Where that fails, the next start does it."""
    for sink in (sinks.alerts, sinks.recommendations):
        if isinstance(sink, AfterEpoch):
            try:
                sink.finish()
            except (KafkaFailure, StoppedWaiting) as wrong:
                _log.warning("alerts and recommendations of the last epoch will be sent at the next start: %s", wrong)


def reached(kafka: Kafka, give_up: Callable[[], bool]) -> Reached:
    """Wait for the broker, a minute at most, and make sure that all topics are there.

    Raises:
        KafkaFailure: no broker answered, it refuses us, or a topic is missing.
    """
    began = time.monotonic()
    told: list[bool] = []

    def patient() -> bool:
        if not told and time.monotonic() - began > SAY_AFTER_S:
            told.append(True)
            where = hide_secrets(kafka.brokers)
            _log.warning("kafka.brokers: none of %s answers; waiting for one, %.0f s at most", where, START_WITHIN_S)
        return give_up()

    found = reach(
        kafka.cluster(), inputs=inputs(kafka), outputs=output_topics(kafka), timeout_s=START_WITHIN_S, give_up=patient
    )
    if found.missing:
        raise KafkaFailure(
            f"kafka.topics: all must exist on {kafka.brokers}; missing: {', '.join(found.missing)} (make them with "
            "`aftercall topics create`, or name others)"
        )
    calls, outcomes = (found.partitions[topic] for topic in inputs(kafka))
    if calls != outcomes:
        _log.warning(
            "%s has %d partitions and %s has %d: a call and its outcomes are then read by different lanes, so that "
            "results may depend on which is faster (give both the same number)",
            kafka.topics.calls, calls, kafka.topics.outcomes, outcomes,
        )  # fmt: skip
    return found
