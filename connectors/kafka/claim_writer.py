"""Writes the records of a claim, each in a transaction, so that of two writers only the later one can.

A producer that begins with a transactional id ends what the one before it may write (fencing): its records are refused
from then on, and what it had not committed is aborted. So what is read after `begin` cannot be followed by a record of
another writer, unless that one begins too, which this writer then notices.
"""

from __future__ import annotations

from typing import Any, Final

from confluent_kafka import TIMESTAMP_LOG_APPEND_TIME, KafkaError, KafkaException, Message, Producer

from connectors.kafka.claim import TRANSACTIONAL_ID, Claim, transactional_id
from connectors.kafka.client import open_producer, producer_config
from connectors.kafka.cluster import ClientConfig, Cluster
from connectors.kafka.errors import displayable

_WITHIN_S: Final = 10.0
_OWN: Final = {
    "transaction.timeout.ms": 20_000,
    "message.timeout.ms": 10_000,  # may not be longer than a transaction
    "linger.ms": 0,
    "delivery.report.only.error": False,  # the report has the broker's time
}
_FENCED: Final = frozenset({"_FENCED", "PRODUCER_FENCED", "INVALID_PRODUCER_EPOCH"})


class ClaimWriter:
    """The producer of a claim."""

    def __init__(self, config: ClientConfig, topic: str, key: str) -> None:
        """`config`: of a producer."""
        self._config = ClientConfig(config | _OWN | {"transactional.id": transactional_id(key)})
        self._topic, self._key = topic, key
        self._producer: Producer | None = None
        self._report: tuple[KafkaError | None, int | None] = (None, None)

    @property
    def began(self) -> bool:
        """Whether `begin` has succeeded, and no error came since."""
        return self._producer is not None

    def begin(self) -> None:
        """Become the only one who may write; up to a second where the broker has not seen the id before.

        Raises:
            KafkaException: the broker does not answer in time, or refuses.
        """
        self._producer = None
        producer = open_producer(self._config)
        producer.init_transactions(_WITHIN_S)
        self._producer = producer

    def write(self, claim: Claim, within_s: float = _WITHIN_S) -> int | None:
        """Write a record; some 10 ms.

        Args:
            claim: the record's value.
            within_s: seconds that the broker may take to commit it.

        Returns:
            When the broker appended it, by its own clock, in µs since 1970; None if the topic has the times of
            producers.

        Raises:
            KafkaException: it is not certain that the record is there. `begin` must be called again.
        """
        producer, self._producer = self._producer, None
        if producer is None:
            raise KafkaException(KafkaError(KafkaError._STATE))  # noqa: SLF001
        self._report = (None, None)
        producer.begin_transaction()
        producer.produce(self._topic, claim.to_json(), self._key, on_delivery=self._delivered)
        producer.commit_transaction(within_s)
        error, appended_us = self._report
        if error is not None:
            raise KafkaException(error)
        self._producer = producer
        return appended_us

    def _delivered(self, error: KafkaError | None, message: Message[Any, Any]) -> None:
        kind, at_ms = (0, 0) if error is not None else message.timestamp()
        self._report = error, at_ms * 1000 if kind == TIMESTAMP_LOG_APPEND_TIME else None


def is_fenced(error: KafkaError) -> bool:
    """Whether another writer has begun, or the broker has given up on a transaction of ours that took too long."""
    return error.name() in _FENCED


def missing_right(cluster: Cluster) -> str | None:
    """Why this user cannot make claims, although it may use their topic; None if it can. Up to 10 s; sends no record.

    Tries an id that no claim has, so that no service is disturbed.
    """
    config = producer_config(cluster) | _OWN | {"transactional.id": f"{TRANSACTIONAL_ID}check"}
    try:
        open_producer(ClientConfig(config)).init_transactions(_WITHIN_S)
    except KafkaException as wrong:
        return (
            f"this user must be allowed to Describe and Write transactional ids that begin with {TRANSACTIONAL_ID}; "
            f"{displayable(wrong.args[0].str())} (docs/operations.md has the rights)"
        )
    return None
