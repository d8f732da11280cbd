"""What errors of the broker's client mean: which pass by themselves, which never do, and what to tell the user."""

from __future__ import annotations

import re
from typing import Final

from confluent_kafka import KafkaError

from aftercall.errors import UserError
from connectors.kafka.cluster import scrub


class KafkaFailure(UserError):  # noqa: N818 - a failure of the broker, not an error in the settings
    """The broker cannot be used, or refuses us. The message is one sentence for the user."""


class StoppedWaiting(KafkaFailure):
    """Records were not acknowledged before the time to stop was over: the epoch may not be committed."""


_TIMING: Final = re.compile(r" \(after \d+ms in state [^)]*\)$")
_CREDENTIALS: Final = (
    "the broker must accept the credentials",
    "correct security.protocol, sasl.mechanism, sasl.username and sasl.password under kafka.librdkafka",
)
_RIGHTS: Final = (
    "the broker must let this user read the input topics and write the outputs",
    "grant the right, for example with kafka-acls",
)
_TOPIC: Final = ("every topic must exist", "make it with `aftercall topics create`, or correct kafka.topics")
_POSITION: Final = (
    "the records to read on from must still be there",
    "they have expired: keep them for longer than the pipeline may be down",
)
_FEATURE: Final = ("the broker must know what the client asks for", "use Apache Kafka 2.1 or newer, or one like it")
_STATE: Final = (
    "the client must be able to go on",
    "check the broker, then give the same command again: nothing that was committed is lost",
)
_REACH: Final = (
    "the broker must be reachable",
    "check kafka.brokers, that the broker runs, and security.protocol under kafka.librdkafka",
)

_FATAL: Final = {
    "_AUTHENTICATION": _CREDENTIALS,
    "SASL_AUTHENTICATION_FAILED": _CREDENTIALS,
    "UNSUPPORTED_SASL_MECHANISM": _CREDENTIALS,
    "ILLEGAL_SASL_STATE": _CREDENTIALS,
    "TOPIC_AUTHORIZATION_FAILED": _RIGHTS,
    "GROUP_AUTHORIZATION_FAILED": _RIGHTS,
    "CLUSTER_AUTHORIZATION_FAILED": _RIGHTS,
    "TRANSACTIONAL_ID_AUTHORIZATION_FAILED": _RIGHTS,
    "UNKNOWN_TOPIC_OR_PART": _TOPIC,
    "_UNKNOWN_TOPIC": _TOPIC,
    "_UNKNOWN_PARTITION": _TOPIC,
    "TOPIC_EXCEPTION": _TOPIC,
    "_AUTO_OFFSET_RESET": _POSITION,
    "OFFSET_OUT_OF_RANGE": _POSITION,
    "UNSUPPORTED_VERSION": _FEATURE,
    "_UNSUPPORTED_FEATURE": _FEATURE,
    "_NOT_IMPLEMENTED": _FEATURE,
    "UNSUPPORTED_COMPRESSION_TYPE": _FEATURE,
    "_FATAL": _STATE,
    "_FENCED": _STATE,
}

_PASSING: Final = frozenset({
    "_TRANSPORT",
    "_RESOLVE",
    "_SSL",
    "_ALL_BROKERS_DOWN",
    "_TIMED_OUT",
    "_TIMED_OUT_QUEUE",
    "_MSG_TIMED_OUT",
    "_WAIT_COORD",
    "_PURGE_QUEUE",
    "_PURGE_INFLIGHT",
    "_RETRY",
    "REQUEST_TIMED_OUT",
    "NETWORK_EXCEPTION",
    "LEADER_NOT_AVAILABLE",
    "NOT_LEADER_FOR_PARTITION",
    "BROKER_NOT_AVAILABLE",
    "REPLICA_NOT_AVAILABLE",
    "PREFERRED_LEADER_NOT_AVAILABLE",
    "NOT_ENOUGH_REPLICAS",
    "NOT_ENOUGH_REPLICAS_AFTER_APPEND",
    "COORDINATOR_LOAD_IN_PROGRESS",
    "COORDINATOR_NOT_AVAILABLE",
    "NOT_COORDINATOR",
    "NOT_CONTROLLER",
    "KAFKA_STORAGE_ERROR",
    "FENCED_LEADER_EPOCH",
    "UNKNOWN_LEADER_EPOCH",
    "STALE_BROKER_EPOCH",
    "THROTTLING_QUOTA_EXCEEDED",
    "OUT_OF_ORDER_SEQUENCE_NUMBER",  # without `fatal()`, the client takes a new producer id and goes on
    "UNKNOWN_PRODUCER_ID",
    "INVALID_PRODUCER_EPOCH",
    "INVALID_MSG",  # a record that was damaged on its way
})  # fmt: skip


def is_fatal(error: KafkaError) -> bool:
    """Whether waiting cannot help: wrong credentials or rights, an unknown topic, an unsupported feature.

    What is neither fatal nor `is_passing` says that the broker does not want this one record.
    """
    return error.fatal() or error.name() in _FATAL


def is_passing(error: KafkaError) -> bool:
    """Whether the same request may succeed later: the broker is away, is starting, or has moved."""
    return not error.fatal() and error.name() in _PASSING


def sentence(error: KafkaError, place: str = "kafka") -> str:
    """One sentence for the user: place, rule, what the broker or the client said, and the remedy.

    Args:
        error: any but that of a refused record.
        place: the topic, or `kafka`.
    """
    rule, remedy = _FATAL.get(error.name(), _STATE if error.fatal() else _REACH)
    return f"{place}: {rule}; {said(error.str())} ({remedy})"


def said(text: str) -> str:
    """What the client said, fit to be shown: one line, no secrets, and not how many milliseconds it took."""
    return _TIMING.sub("", scrub(text))
