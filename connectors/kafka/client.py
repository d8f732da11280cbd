"""Builds librdkafka's configurations from the settings, and makes first contact with the broker.

The keys on which the pipeline's guarantees rest are fixed here: users may not set the `OWN_KEYS` of
`connectors.kafka.cluster`.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Any, Final, NamedTuple, TypeVar

from confluent_kafka import Consumer, KafkaError, KafkaException, Producer, TopicCollection
from confluent_kafka.admin import AdminClient

from connectors.kafka.answers import answer_of
from connectors.kafka.client_log import ClientLog
from connectors.kafka.cluster import ClientConfig, Cluster, KafkaConfigError, hide_secrets
from connectors.kafka.errors import KafkaFailure, StoppedWaiting, displayable, is_fatal, is_passing, sentence

__all__ = [
    "Cluster",
    "KafkaConfigError",
    "KafkaFailure",
    "Reached",
    "StoppedWaiting",
    "admin_config",
    "consumer_config",
    "is_fatal",
    "is_passing",
    "open_admin",
    "open_consumer",
    "open_producer",
    "producer_config",
    "reach",
    "sentence",
    "try_settings",
]

Client = TypeVar("Client", Consumer, Producer, AdminClient)

_DEFAULTS: Final = {"client.id": "aftercall"}
_CONSUMER: Final = {
    "enable.auto.commit": False,
    "enable.auto.offset.store": False,
    "enable.partition.eof": True,
    "auto.offset.reset": "error",
}
_CONSUMER_DEFAULTS: Final = {
    "queued.max.messages.kbytes": 16_384,  # per lane; librdkafka's default, 64 MiB, is many times what a batch needs
    "reconnect.backoff.max.ms": 2_000,  # within this time a broker that is back is found
}
_PRODUCER_DEFAULTS: Final = {
    "reconnect.backoff.max.ms": 2_000,
    "compression.type": "zstd",
    "linger.ms": 20,
    "queue.buffering.max.messages": 100_000,
    "queue.buffering.max.kbytes": 131_072,
}
_PRODUCER: Final = {
    "enable.idempotence": True,
    # With more, librdkafka can take a batch that a broker refused for one that it has, because it took the next (0046).
    "max.in.flight.requests.per.connection": 1,
    "acks": "all",
    "message.timeout.ms": 0,  # the client retries for ever; `KafkaWriter` decides when to stop
    "partitioner": "murmur2_random",  # as Java's producers, so that streams of other tools can be joined by key
    "delivery.report.only.error": True,  # no Python callback runs per delivered record
}
_SLICE_S: Final = 0.5
_RIGHTS_S: Final = 5.0


def consumer_config(cluster: Cluster) -> ClientConfig:
    """The configuration of a consumer whose partitions and positions the lanes set.

    An expired position is an error, `_AUTO_OFFSET_RESET`.

    Raises:
        KafkaConfigError: a secret's file cannot be read.
    """
    return _config(cluster, _CONSUMER_DEFAULTS | {"group.id": cluster.group_id}, _CONSUMER)


def producer_config(cluster: Cluster) -> ClientConfig:
    """The configuration of an idempotent producer that never drops a record.

    Raises:
        KafkaConfigError: a secret's file cannot be read.
    """
    return _config(cluster, _PRODUCER_DEFAULTS, _PRODUCER)


def admin_config(cluster: Cluster) -> ClientConfig:
    """The configuration of a client that describes and creates topics.

    Raises:
        KafkaConfigError: a secret's file cannot be read.
    """
    return _config(cluster, {}, {})


def open_consumer(config: ClientConfig, **callbacks: Any) -> Consumer:
    """A consumer; `callbacks` and errors as in `_opened`."""
    return _opened(Consumer, config, callbacks)


def open_producer(config: ClientConfig, **callbacks: Any) -> Producer:
    """A producer; `callbacks` and errors as in `_opened`."""
    return _opened(Producer, config, callbacks)


def open_admin(config: ClientConfig, **callbacks: Any) -> AdminClient:
    """A client for topics; `callbacks` and errors as in `_opened`."""
    return _opened(AdminClient, config, callbacks)


def try_settings(cluster: Cluster) -> None:
    """Create one client of each kind, without connecting, to find settings that librdkafka rejects.

    Raises:
        KafkaConfigError: librdkafka rejects a setting, or a secret's file cannot be read.
    """
    alone = {"bootstrap.servers": ""}
    open_consumer(consumer_config(cluster), **alone).close()
    open_producer(producer_config(cluster), **alone)
    open_admin(admin_config(cluster), **alone)


class Reached(NamedTuple):
    """What the broker reported about itself and the topics.

    Attributes:
        cluster_id: which cluster this is; never changes.
        brokers: how many brokers it has.
        partitions: number of partitions of each requested topic that exists.
        missing: topics that do not exist, or that this user may not see.
        forbidden: topics, and what this user may not do with them: `read` or `write`; empty unless `rights` was given.
    """

    cluster_id: str
    brokers: int
    partitions: dict[str, int]
    missing: tuple[str, ...]
    forbidden: tuple[tuple[str, str], ...] = ()


def reach(
    cluster: Cluster,
    *,
    inputs: Sequence[str] = (),
    outputs: Sequence[str] = (),
    timeout_s: float = 15.0,
    rights: bool = False,
    give_up: Callable[[], bool] = lambda: False,
) -> Reached:
    """Connect, and describe topics; creates none.

    Args:
        cluster: the cluster to connect to.
        inputs: topics to read.
        outputs: topics to write.
        timeout_s: how long to retry; refused credentials end it at once.
        rights: query what this user may do, too, which takes up to 5 s more with brokers that do not report it.
        give_up: called every 0.5 s; True ends it like the timeout.

    Raises:
        KafkaConfigError: librdkafka rejects the settings, or a secret's file cannot be read.
        KafkaFailure: no broker answered in time, or it refuses the credentials.
    """
    config = admin_config(cluster)
    errors: list[KafkaError] = []
    admin = open_admin(config, error_cb=errors.append)
    deadline = time.monotonic() + timeout_s
    while True:
        try:
            metadata = admin.list_topics(timeout=max(min(_SLICE_S, deadline - time.monotonic()), 0.01))
            break
        except KafkaException as wrong:
            admin.poll(0)  # runs the client's callbacks for log lines and errors
            for error in (wrong.args[0], *errors):
                if is_fatal(error):
                    raise KafkaFailure(sentence(error)) from None
            if time.monotonic() >= deadline or give_up():
                raise KafkaFailure(_unreachable(cluster, wrong.args[0], errors, config["logger"], timeout_s)) from None
    wanted = dict.fromkeys((*inputs, *outputs))
    existing = {name: metadata.topics[name] for name in wanted if name in metadata.topics}
    partitions = {name: len(topic.partitions) for name, topic in existing.items() if topic.partitions}
    missing = tuple(name for name in wanted if name not in partitions)
    forbidden = _forbidden(admin, partitions, inputs, outputs) if rights else ()
    return Reached(str(metadata.cluster_id), len(metadata.brokers), partitions, missing, forbidden)


def _config(cluster: Cluster, defaults: dict[str, Any], fixed: dict[str, Any]) -> ClientConfig:
    config = ClientConfig(_DEFAULTS | defaults)
    for key, value in cluster.properties().items():
        config.pop({"compression.codec": "compression.type", "queue.buffering.max.ms": "linger.ms"}.get(key, key), None)
        config[key] = value
    config.update(fixed)
    config["bootstrap.servers"] = cluster.brokers
    config["logger"] = ClientLog()
    return config


def _opened(kind: type[Client], config: ClientConfig, callbacks: dict[str, Any]) -> Client:
    """Create a client of this kind; `callbacks` are further entries, such as `error_cb`.

    Raises:
        KafkaConfigError: librdkafka rejects the settings.
    """
    try:
        return kind({**config, **callbacks})  # a copy, as the client removes entries
    except KafkaException as wrong:
        reason = displayable(wrong.args[0].str())
    except (TypeError, ValueError) as wrong:
        reason = displayable(str(wrong))
    raise KafkaConfigError(
        f"kafka.librdkafka: must be settings that librdkafka accepts; it reports: {reason} (correct or remove that key)"
    )


def _unreachable(cluster: Cluster, last: KafkaError, errors: list[KafkaError], log: ClientLog, timeout_s: float) -> str:
    # The reason why a connection failed is more useful than that it did; some reasons are only in the client's log.
    reasons = [error.str() for error in errors if error.name() not in {"_ALL_BROKERS_DOWN", "_TIMED_OUT"}]
    reason = reasons[-1] if reasons else log.reason or last.str()
    return (
        f"kafka.brokers: a broker of {hide_secrets(cluster.brokers)} must answer within {timeout_s:g} s; none did, the "
        f"last error was: {displayable(reason)} (check the address, that it runs, and security.protocol under "
        "kafka.librdkafka)"
    )


def _forbidden(
    admin: AdminClient, partitions: dict[str, int], inputs: Sequence[str], outputs: Sequence[str]
) -> tuple[tuple[str, str], ...]:
    """What this user may not do; empty where the broker does not report rights."""
    if not partitions:
        return ()
    forbidden = []
    answers = admin.describe_topics(
        TopicCollection(list(partitions)), include_authorized_operations=True, request_timeout=_RIGHTS_S
    )
    for name, answer in answers.items():
        try:
            allowed = {operation.name.lower() for operation in answer_of(answer).authorized_operations or ()}
        except KafkaException:
            continue
        for right, topics in (("read", inputs), ("write", outputs)):
            if allowed and name in topics and right not in allowed:
                forbidden.append((name, right))
    return tuple(forbidden)
