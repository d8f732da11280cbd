"""The six topics: how the reference wants them, making those that are missing, and where others differ."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import Future
from typing import Final, Literal, NamedTuple

from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient, ConfigResource, ResourceType  # type: ignore[attr-defined] # they are public
from confluent_kafka.cimpl import NewTopic

from aftercall.times import DAY_US
from connectors.kafka.client import Reached, admin_config, open_admin, reach
from connectors.kafka.cluster import Cluster
from connectors.kafka.errors import KafkaFailure, is_fatal, is_passing, said, sentence

PARTITIONS: Final = 12
BROKERS_CHOICE: Final = -1
"""As replication: the broker's default.replication.factor."""
INPUTS: Final = ("calls", "outcomes")
_INPUT: Final = {
    "cleanup.policy": "delete",
    "retention.ms": str(7 * DAY_US // 1000),  # a stopped pipeline may come back within a week
    "max.message.bytes": str(1_114_112),  # a record of 1 MiB, with its key and headers
}
SETTINGS: Final[Mapping[str, Mapping[str, str]]] = {
    "calls": _INPUT,
    "outcomes": _INPUT,
    "verdicts": {"cleanup.policy": "compact,delete", "retention.ms": str(90 * DAY_US // 1000)},
    "recommendations": {"cleanup.policy": "compact"},
    "alerts": {"cleanup.policy": "delete", "retention.ms": str(90 * DAY_US // 1000)},
    "dead_letters": {"cleanup.policy": "delete", "retention.ms": str(30 * DAY_US // 1000)},
}
"""Of each topic, by its name in `[kafka.topics]`, what it is made with."""
_LEAST_RETENTION_MS: Final = DAY_US // 1000
_LEAST_BYTES: Final = 1_048_576  # the 1 MiB of the reference
_LEAST_OUTPUT_BYTES: Final = 131_072  # a dead letter with its payload of 64 KiB, escaped
_TIMEOUT_S, _ASK_S = 30.0, 10.0

TopicState = Literal["exists", "created", "would be created"]


class TopicReport(NamedTuple):
    """What was found or done.

    Attributes:
        topic: its name.
        state: whether it was there.
        partitions: how many it has, or gets.
        settings: what it is made with; empty where it existed.
        differences: a sentence each, where one that existed is not as it should be.
    """

    topic: str
    state: TopicState
    partitions: int
    settings: dict[str, str]
    differences: tuple[str, ...] = ()


def create_topics(
    cluster: Cluster,
    names: Mapping[str, str],
    *,
    partitions: int | None = None,
    replication: int = BROKERS_CHOICE,
    dry_run: bool = False,
    timeout_s: float = 15.0,
) -> list[TopicReport]:
    """Make the topics that are missing; existing ones are left as they are.

    Args:
        cluster: where.
        names: of each of the six keys of `SETTINGS`, the topic's name.
        partitions: of new topics; None: `PARTITIONS`, or as many as the other input topic has.
        replication: how many brokers hold each record; -1 leaves it to the broker.
        dry_run: the broker checks what it would do, and does nothing.
        timeout_s: how long to try to reach it.

    Raises:
        KafkaConfigError: the settings for the client cannot be used.
        KafkaFailure: the broker cannot be reached, or refuses.
    """
    found = reach(cluster, inputs=list(names.values()), timeout_s=timeout_s)
    admin = open_admin(admin_config(cluster))
    counts = {names[key]: partitions or _partitions(key, names, found) for key in SETTINGS}
    fresh = [
        NewTopic(
            names[key], num_partitions=counts[names[key]], replication_factor=replication, config=dict(SETTINGS[key])
        )
        for key in SETTINGS
        if names[key] in found.missing
    ]
    made = _create(admin, fresh, dry_run=dry_run) if fresh else set()
    present = {key: name for key, name in names.items() if name not in made}
    differing = differences(admin, present, found.partitions)
    state: TopicState = "would be created" if dry_run else "created"
    return [
        TopicReport(name, state, counts[name], dict(SETTINGS[key]))
        if (name := names[key]) in made
        else TopicReport(name, "exists", found.partitions.get(name, counts[name]), {}, tuple(differing.get(name, ())))
        for key in SETTINGS
    ]


def differences(admin: AdminClient, names: Mapping[str, str], partitions: Mapping[str, int]) -> dict[str, list[str]]:
    """Where existing topics are not as the reference needs them; a sentence each, by topic.

    Args:
        admin: asked for the topics' settings; at most 10 s.
        names: of some of the keys of `SETTINGS`, the topic's name.
        partitions: of each topic, how many it has.
    """
    found: dict[str, list[str]] = {}
    uneven = uneven_inputs([names[key] for key in INPUTS if key in names], partitions)
    if uneven:
        found.setdefault(names["outcomes"], []).append(uneven)
    settings = _settings(admin, names.values())
    for key, name in names.items():
        if name in settings:
            found.setdefault(name, []).extend(_compared(key, name, settings[name]))
        elif name in partitions:
            found.setdefault(name, []).append(f"{name}: its settings could not be read (grant DescribeConfigs)")
    return {name: told for name, told in found.items() if told}


def uneven_inputs(inputs: Sequence[str], partitions: Mapping[str, int]) -> str | None:
    """A sentence where calls and outcomes have not the same number of partitions."""
    counts = [partitions[name] for name in inputs if name in partitions]
    if len(set(counts)) < 2:
        return None
    (calls, outcomes), (one, other) = inputs, counts
    return (
        f"{outcomes}: should have as many partitions as {calls}, so that all records of a call share a number; "
        f"they have {other} and {one} (fill a new topic; adding partitions would move keys)"
    )


def _partitions(key: str, names: Mapping[str, str], found: Reached) -> int:
    """As many as the sibling has: all records of a call should share a partition number."""
    siblings = [found.partitions.get(names[other]) for other in INPUTS] if key in INPUTS else []
    return next((count for count in siblings if count is not None), PARTITIONS)


def _create(admin: AdminClient, topics: list[NewTopic], *, dry_run: bool) -> set[str]:
    """Names of those that were, or would be, made."""
    made = set()
    asked: dict[str, Future[None]] = admin.create_topics(
        topics, validate_only=dry_run, operation_timeout=_TIMEOUT_S, request_timeout=_TIMEOUT_S
    )
    for name, answer in asked.items():
        try:
            answer.result()
        except KafkaException as wrong:
            error = wrong.args[0]
            if error.name() == "TOPIC_ALREADY_EXISTS":  # somebody else was quicker, or we may not see it
                continue
            if is_fatal(error) or is_passing(error):
                raise KafkaFailure(sentence(error, name)) from None
            raise KafkaFailure(
                f"{name}: the broker must be able to make the topic; {said(error.str())} "
                "(choose another --partitions or --replication, or have it made by whoever runs the broker)"
            ) from None
        made.add(name)
    return made


def _settings(admin: AdminClient, names: Iterable[str]) -> dict[str, dict[str, str]]:
    """Of each topic whose settings may be read, these."""
    resources = [ConfigResource(ResourceType.TOPIC, name) for name in names]
    found = {}
    for resource, answer in admin.describe_configs(resources, request_timeout=_ASK_S).items() if resources else ():
        try:
            found[resource.name] = {key: entry.value or "" for key, entry in answer.result().items()}
        except KafkaException:
            continue
    return found


def _compared(key: str, name: str, settings: Mapping[str, str]) -> list[str]:
    told = []
    wanted = SETTINGS[key]["cleanup.policy"]
    if _policies(settings.get("cleanup.policy", "")) != _policies(wanted):
        harm = "; outcomes of one call would delete each other" if key in INPUTS else ""
        told.append(
            f"{name}: cleanup.policy should be {wanted}; it is {settings.get('cleanup.policy')}{harm} "
            f"(kafka-configs --alter --topic {name} --add-config cleanup.policy=[{wanted}])"
        )
    retention_ms = int(settings.get("retention.ms") or -1)
    if key in INPUTS and 0 <= retention_ms < _LEAST_RETENTION_MS:
        told.append(
            f"{name}: retention.ms should be at least {_LEAST_RETENTION_MS} (1 d), as a pipeline that is down for "
            f"longer loses records; it is {retention_ms} (raise it)"
        )
    least = _LEAST_BYTES if key in INPUTS else _LEAST_OUTPUT_BYTES
    most = int(settings.get("max.message.bytes") or least)
    if most < least:
        told.append(
            f"{name}: max.message.bytes should be at least {least}, the largest record; it is {most} (raise it)"
        )
    return told


def _policies(text: str) -> set[str]:
    return {policy.strip() for policy in text.split(",")}
