"""Sends single records, each to its partition, and waits until the broker has them.

For commands beside the pipeline, whose own writer waits for ever.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import Any, Final, NamedTuple

from confluent_kafka import KafkaError, KafkaException, Producer

from connectors.kafka.client import KafkaFailure, open_producer, producer_config, sentence
from connectors.kafka.cluster import ClientConfig, Cluster
from connectors.kafka.errors import displayable, is_fatal, is_passing
from connectors.kafka.read_again import Headers

_SEND_S: Final = 60
_SLICE_S: Final = 0.25
_OWN: Final = {
    "message.timeout.ms": _SEND_S * 1000,  # the pipeline's own producer waits for ever
    "delivery.report.only.error": False,  # and needs no offsets
    "enable.idempotence": False,  # repeats are harmless here; without it the client needs no right to the cluster
    "max.in.flight.requests.per.connection": 1,  # keeps the order all the same
}
_ANY: Final = -1
_NO_PARTITION: Final = "_UNKNOWN_PARTITION"
"""Fatal for the pipeline; of a single record it means that its topic had more partitions once."""


class Copy(NamedTuple):
    """A record to send; `partition` None leaves the choice to the key."""

    topic: str
    partition: int | None
    key: bytes | None
    value: bytes
    headers: Headers


class Landed(NamedTuple):
    """Where a record is now; or, with `refused`, why the broker does not take this one."""

    partition: int
    offset: int
    refused: str = ""


def send_copies(cluster: Cluster, copies: Sequence[Copy]) -> list[Landed]:
    """Send records in this order, and return once the broker has acknowledged or refused each.

    Raises:
        KafkaConfigError: librdkafka rejects the settings.
        KafkaFailure: the broker is away for a minute, or refuses the client; it may have some of the records.
    """
    errors: list[KafkaError] = []
    producer = open_producer(ClientConfig(producer_config(cluster) | _OWN), error_cb=errors.append)
    landed = _send(producer, dict(enumerate(copies)), errors)
    # A batch is refused because of one record: each by itself is refused for its own sake.
    for number in [number for number, place in landed.items() if place.refused and len(copies) > 1]:
        landed |= _send(producer, {number: copies[number]}, errors)
    return [landed[number] for number in range(len(copies))]


def _send(producer: Producer, copies: Mapping[int, Copy], errors: Sequence[KafkaError]) -> dict[int, Landed]:
    landed: dict[int, Landed] = {}
    failed: list[KafkaError] = []
    for number, copy in copies.items():
        _produce(producer, copy, number, landed, failed)
    deadline = time.monotonic() + 2 * _SEND_S
    while producer.flush(_SLICE_S) and not any(map(is_fatal, errors)) and time.monotonic() < deadline:
        pass
    for error in (*failed, *errors):
        if is_fatal(error):
            raise KafkaFailure(sentence(error))
    if failed or len(landed) < len(copies):
        why = displayable(failed[0].str()) if failed else "it did not"
        raise KafkaFailure(
            f"kafka: the broker must acknowledge every record within {_SEND_S} s; {why} (check the broker, then give "
            "the same command again: records that were sent twice are duplicates)"
        )
    return landed


def _produce(producer: Producer, copy: Copy, number: int, landed: dict[int, Landed], failed: list[KafkaError]) -> None:
    """Hand a record to the client; its fate goes to `landed`, or to `failed` where all may fare the same."""

    def delivered(error: KafkaError | None, message: Any) -> None:
        if error is None:
            landed[number] = Landed(message.partition(), message.offset())
        elif (is_fatal(error) and error.name() != _NO_PARTITION) or is_passing(error):
            failed.append(error)
        else:
            landed[number] = Landed(_ANY, _ANY, displayable(error.str()))

    partition = _ANY if copy.partition is None else copy.partition
    while True:
        try:
            producer.produce(
                copy.topic,
                copy.value,
                copy.key,
                partition,
                on_delivery=delivered,
                headers=list(copy.headers),
            )
        except BufferError:
            producer.poll(_SLICE_S)
        except KafkaException as wrong:
            delivered(wrong.args[0], None)
            return
        else:
            producer.poll(0)
            return
