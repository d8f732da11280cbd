"""Connects the settings of Kafka to the connectors: topics, sinks, waiting for the broker."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from math import inf, isinf

from connectors.kafka.after_epoch import AfterEpoch
from connectors.kafka.client import KafkaFailure, Reached, StoppedWaiting, producer_config, reach
from connectors.kafka.cluster import Cluster, hide_secrets
from connectors.kafka.optional_sink import OptionalSink
from connectors.kafka.sink import KafkaSink
from connectors.kafka.topics import NO_TRUST
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
    """The topics that each pipeline writes: verdicts, alerts, recommendations, dead letters, trust."""
    topics = kafka.topics
    return topics.verdicts, topics.alerts, topics.recommendations, topics.dead_letters, topics.trust


def outlets(
    kafka: Kafka,
    snapshot: SnapshotSink,
    *,
    beat: Callable[[], None],
    give_up: Callable[[], bool],
    confirm: Callable[[], None],
    publish_checks: bool = False,
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
    verdicts, alerts, recommendations, letters, trust = (KafkaSink(writer, topic) for topic in output_topics(kafka))
    checks = KafkaSink(writer, kafka.topics.checks) if publish_checks else None
    topic = kafka.topics.trust

    def waiting() -> bool:
        beat()
        return give_up()

    scores = OptionalSink(trust, lambda: exists(kafka.cluster(), topic, waiting), f"{topic}: {NO_TRUST}")
    held = AfterEpoch(alerts, confirm), AfterEpoch(recommendations), AfterEpoch(scores)
    return Outlets(verdicts, *held, letters, snapshot, checks)


def exists(cluster: Cluster, topic: str, give_up: Callable[[], bool]) -> bool:
    """Whether there is such a topic that this user may see; waits for a broker, and calls `give_up` twice a second.

    Raises:
        KafkaFailure: `give_up` returned True, or the broker refuses this client.
    """
    return not reach(cluster, outputs=[topic], timeout_s=inf, give_up=give_up).missing


def finish(sinks: Outlets) -> None:
    """Publish the alerts, recommendations and scores of the last epoch, now that it is stored.

    If the broker fails, this logs a warning, and the next start publishes them.
    """
    for sink in (sinks.alerts, sinks.recommendations, sinks.trust):
        if isinstance(sink, AfterEpoch):
            try:
                sink.finish()
            except (KafkaFailure, StoppedWaiting) as wrong:
                _log.warning("alerts, recommendations and trust of the last epoch go out at the next start: %s", wrong)


def wait_for_broker(
    kafka: Kafka, within_s: float, give_up: Callable[[], bool], *, publish_checks: bool = False
) -> Reached:
    """Wait for the broker, then check that all topics exist but that of trust, which need not.

    Reports a pause after 2 s without an answer; logs a warning if the numbers of the input topics' partitions differ.

    Args:
        kafka: the settings.
        within_s: how long to wait, at most; may be infinite.
        give_up: called twice a second; True ends it.
        publish_checks: whether the topic of violations must exist too.

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
        outputs=(*output_topics(kafka), *((kafka.topics.checks,) if publish_checks else ())),
        timeout_s=within_s,
        give_up=stop_waiting,
    )
    PAUSES.end("broker", "broker", at_once=True)
    missing = [name for name in cluster.missing if name != kafka.topics.trust]
    if missing:
        raise KafkaFailure(
            f"kafka.topics: all must exist on {kafka.brokers}; missing: {', '.join(missing)} (create them with "
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
