"""Connects the settings of Kafka to the connectors: topics, sinks, waiting for the broker."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from math import isinf

from connectors.kafka.after_epoch import AfterEpoch
from connectors.kafka.client import KafkaFailure, Reached, StoppedWaiting, producer_config, reach
from connectors.kafka.cluster import hide_secrets
from connectors.kafka.sink import KafkaSink
from connectors.kafka.writer import KafkaWriter, WriterCallbacks
from connectors.metrics import METRICS
from connectors.pauses import PAUSES
from flows.dataflow.snapshot_sink import SnapshotSink
from flows.outcomes import Outlets
from flows.settings.sections import Kafka

_log = logging.getLogger("aftercall.kafka")
PAUSED_AFTER_S = 2.0


def inputs(kafka: Kafka) -> tuple[str, str]:
    """The topics that the pipeline reads: calls, outcomes."""
    return kafka.topics.calls, kafka.topics.outcomes


def output_topics(kafka: Kafka) -> tuple[str, ...]:
    """The topics that the pipeline writes: verdicts, alerts, recommendations, dead letters."""
    topics = kafka.topics
    return topics.verdicts, topics.alerts, topics.recommendations, topics.dead_letters


def outlets(
    kafka: Kafka,
    snapshot: SnapshotSink,
    *,
    beat: Callable[[], None],
    give_up: Callable[[], bool],
    confirm: Callable[[], None],
) -> Outlets:
    """One sink per output topic; all share one producer. Callbacks as in `WriterCallbacks` and `AfterEpoch`."""
    callbacks = WriterCallbacks(
        beat=beat,
        give_up=give_up,
        confirmed=METRICS.outputs,
        refused=METRICS.output_refused,
        passing_error=METRICS.broker_error,
    )
    writer = KafkaWriter(producer_config(kafka.cluster()), kafka.topics.dead_letters, callbacks)
    verdicts, alerts, recommendations, letters = (KafkaSink(writer, topic) for topic in output_topics(kafka))
    return Outlets(verdicts, AfterEpoch(alerts, confirm), AfterEpoch(recommendations), letters, snapshot)


def finish(sinks: Outlets) -> None:
    """Publish the alerts and recommendations of the last epoch, now that it is stored.

    If the broker fails, this logs a warning, and the next start publishes them.
    """
    for sink in (sinks.alerts, sinks.recommendations):
        if isinstance(sink, AfterEpoch):
            try:
                sink.finish()
            except (KafkaFailure, StoppedWaiting) as wrong:
                _log.warning("alerts and recommendations of the last epoch will be sent at the next start: %s", wrong)


def wait_for_broker(kafka: Kafka, within_s: float, give_up: Callable[[], bool]) -> Reached:
    """Wait for the broker, then check that all topics exist.

    Reports a pause after 2 s without an answer; logs a warning if the numbers of the input topics' partitions differ.

    Args:
        kafka: the settings.
        within_s: how long to wait, at most; may be infinite.
        give_up: called twice a second; True ends it.

    Raises:
        KafkaFailure: no broker answered in this time, the broker refuses this client, or a topic is missing.
    """
    began = time.monotonic()
    bound = "" if isinf(within_s) else f", {within_s:.0f} s at most"
    sentence = f"kafka.brokers: none of {hide_secrets(kafka.brokers)} answers; waiting for one{bound}"

    def stop_waiting() -> bool:
        if time.monotonic() - began > PAUSED_AFTER_S:
            PAUSES.begin("broker", "broker", sentence)
        return give_up()

    cluster = reach(
        kafka.cluster(),
        inputs=inputs(kafka),
        outputs=output_topics(kafka),
        timeout_s=within_s,
        give_up=stop_waiting,
    )
    PAUSES.end("broker", "broker", at_once=True)
    if cluster.missing:
        raise KafkaFailure(
            f"kafka.topics: all must exist on {kafka.brokers}; missing: {', '.join(cluster.missing)} (create them with "
            "`aftercall topics create`, or name others)"
        )
    calls, outcomes = (cluster.partitions[topic] for topic in inputs(kafka))
    if calls != outcomes:
        _log.warning(
            "%s has %d partitions and %s has %d: a call and its outcomes are read by different lanes, so results may "
            "depend on which lane is faster (give both topics the same number)",
            kafka.topics.calls, calls, kafka.topics.outcomes, outcomes,
        )  # fmt: skip
    return cluster
