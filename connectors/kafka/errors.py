"""Classifies errors of the Kafka client, and words them for the user.

A passing error ends without action; a fatal one never does; any other concerns a single record.
"""

from __future__ import annotations

import re
from typing import Final

from confluent_kafka import KafkaError

from aftercall.errors import UserError
from connectors.kafka.cluster import hide_secrets


class KafkaFailure(UserError):  # noqa: N818 - a failure of the broker, not an error in the settings
    """The broker cannot be used, or refuses the client. The message is one sentence for the user."""


class StoppedWaiting(KafkaFailure):
    """Records were not acknowledged before the deadline to stop: the epoch may not be committed."""


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
    "the records at the stored position must still exist",
    "they have expired: raise retention.ms above the longest time that the pipeline may be down",
)
_FEATURE: Final = (
    "the broker must support what the client requests",
    "use Apache Kafka 2.1 or newer, or a compatible broker",
)
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
    "OUT_OF_ORDER_SEQUENCE_NUMBER",  # unless it is `fatal()`, the client gets a new producer id and continues
    "UNKNOWN_PRODUCER_ID",
    "INVALID_PRODUCER_EPOCH",
    "INVALID_MSG",  # a record that was damaged in transit
})  # fmt: skip


def is_fatal(error: KafkaError) -> bool:
    """Whether waiting cannot help: wrong credentials or rights, an unknown topic, an unsupported feature.

    An error that is neither fatal nor `is_passing` means that the broker or the client refuses this one record.
    """
    return error.fatal() or error.name() in _FATAL


def is_passing(error: KafkaError) -> bool:
    """Whether the same request may succeed later: the broker is away, is starting, or has moved."""
    return not error.fatal() and error.name() in _PASSING


def sentence(error: KafkaError, place: str = "kafka") -> str:
    """One sentence for the user: place, rule, what the broker or the client reported, and the remedy.

    Args:
        error: any error but the refusal of one record.
        place: the topic, or `kafka`.
    """
    rule, remedy = _FATAL.get(error.name(), _STATE if error.fatal() else _REACH)
    return f"{place}: {rule}; {displayable(error.str())} ({remedy})"


def displayable(text: str) -> str:
    """A text of the client as it may be shown: on one line, without secrets, and without the milliseconds it took."""
    return _TIMING.sub("", hide_secrets(text))
