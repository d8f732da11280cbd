"""Creates missing topics, and reports where existing ones differ from what the reference needs."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import Future
from typing import Final, Literal, NamedTuple

from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient, ConfigResource, ResourceType  # type: ignore[attr-defined] # they are public
from confluent_kafka.cimpl import NewTopic

from aftercall.times import DAY_US, HOUR_US
from connectors.kafka.answers import answer_of
from connectors.kafka.client import Reached, admin_config, open_admin, reach
from connectors.kafka.cluster import Cluster
from connectors.kafka.errors import KafkaFailure, displayable, is_fatal, is_passing, sentence

PARTITIONS: Final = 12
BROKERS_CHOICE: Final = -1
"""As `replication`: the broker's default.replication.factor."""
INPUTS: Final = ("calls", "outcomes")
MARKS: Final = "marks"
"""Few records, which alone are read where the topic exists."""
SCORES: Final = "trust"
"""Written where the topic exists."""
NO_TRUST: Final = (
    "is missing or hidden, so that scores of trust are in the snapshot alone (create it with `aftercall topics create`)"
)
CLAIMS: Final = "claims"
_TIMES: Final = "message.timestamp.type"
BROKERS_TIMES: Final = "LogAppendTime"
"""The broker sets the times of a topic's records."""
_INPUT: Final = {
    "cleanup.policy": "delete",
    "retention.ms": str(7 * DAY_US // 1000),  # a stopped pipeline may come back within a week
    "max.message.bytes": str(1_114_112),  # a record of 1 MiB, with its key and headers
}
SETTINGS: Final[Mapping[str, Mapping[str, str]]] = {
    "calls": _INPUT,
    "outcomes": _INPUT,
    "marks": {"cleanup.policy": "compact"},
    "verdicts": {"cleanup.policy": "compact,delete", "retention.ms": str(90 * DAY_US // 1000)},
    "recommendations": {"cleanup.policy": "compact"},
    "trust": {"cleanup.policy": "compact"},
    "alerts": {"cleanup.policy": "delete", "retention.ms": str(90 * DAY_US // 1000)},
    "checks": {"cleanup.policy": "delete", "retention.ms": str(30 * DAY_US // 1000)},
    "dead_letters": {"cleanup.policy": "delete", "retention.ms": str(30 * DAY_US // 1000)},
    "claims": {
        "cleanup.policy": "compact",
        "segment.ms": str(HOUR_US // 1000),  # a start reads what is not compacted yet: an hour of heartbeats
        _TIMES: BROKERS_TIMES,
    },
}
"""Settings with which each topic is created, by its key in `[kafka.topics]`."""
_LEAST_RETENTION_MS: Final = DAY_US // 1000
_LEAST_BYTES: Final = 1_048_576  # the 1 MiB of the reference
_LEAST_OUTPUT_BYTES: Final = 131_072  # a dead letter with its payload of 64 KiB, escaped
_TIMEOUT_S, _ASK_S = 30.0, 10.0

TopicState = Literal["exists", "created", "would be created"]


class TopicReport(NamedTuple):
    """What `create_topics` found or did for one topic.

    Attributes:
        topic: its name.
        state: whether it existed, was created, or would be created.
        partitions: the number of partitions that it has, or gets.
        settings: what it is created with; empty where it existed.
        differences: one sentence for each way in which an existing topic is not as it should be.
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
    """Create the topics that are missing; existing ones are not changed.

    Args:
        cluster: the cluster to create them on.
        names: of keys of `SETTINGS`, those of inputs among them, the topic's name.
        partitions: of new topics but those of marks and claims, which have one; None: `PARTITIONS`, or as many as the
            other input topic has.
        replication: how many brokers hold each record; -1 leaves it to the broker.
        dry_run: the broker validates the request, and creates nothing.
        timeout_s: how long to retry to reach it.

    Raises:
        KafkaConfigError: librdkafka rejects the settings, or a secret's file cannot be read.
        KafkaFailure: the broker cannot be reached, or refuses the request.
    """
    reached = reach(cluster, inputs=list(names.values()), timeout_s=timeout_s)
    admin = open_admin(admin_config(cluster))
    counts = {name: _partitions(key, names, reached, partitions) for key, name in names.items()}
    missing = [
        NewTopic(name, num_partitions=counts[name], replication_factor=replication, config=dict(SETTINGS[key]))
        for key, name in names.items()
        if name in reached.missing
    ]
    created = _create(admin, missing, dry_run=dry_run) if missing else set()
    existing = {key: name for key, name in names.items() if name not in created}
    differing = differences(admin, existing, reached.partitions)
    state: TopicState = "would be created" if dry_run else "created"
    return [
        TopicReport(name, state, counts[name], dict(SETTINGS[key]))
        if name in created
        else TopicReport(name, "exists", reached.partitions.get(name, counts[name]), {}, tuple(differing.get(name, ())))
        for key, name in names.items()
    ]


def differences(admin: AdminClient, names: Mapping[str, str], partitions: Mapping[str, int]) -> dict[str, list[str]]:
    """Where existing topics are not as the reference needs them: by topic, one sentence per difference.

    Args:
        admin: describes the topics' settings; the request takes at most 10 s.
        names: of some of the keys of `SETTINGS`, the topic's name.
        partitions: the number of partitions of each topic.
    """
    sentences: dict[str, list[str]] = {}
    uneven = uneven_inputs([names[key] for key in INPUTS if key in names], partitions)
    if uneven:
        sentences.setdefault(names["outcomes"], []).append(uneven)
    settings = _settings(admin, names.values())
    for key, name in names.items():
        if name in settings:
            sentences.setdefault(name, []).extend(_compared(key, name, settings[name]))
        elif name in partitions:
            sentences.setdefault(name, []).append(f"{name}: its settings could not be read (grant DescribeConfigs)")
    return {name: of_topic for name, of_topic in sentences.items() if of_topic}


def uneven_inputs(inputs: Sequence[str], partitions: Mapping[str, int]) -> str | None:
    """A sentence if calls and outcomes differ in their number of partitions, else None."""
    counts = [partitions[name] for name in inputs if name in partitions]
    if len(set(counts)) < 2:
        return None
    (calls, outcomes), (of_calls, of_outcomes) = inputs, counts
    return (
        f"{outcomes}: should have as many partitions as {calls}, so that all records of a call share a number; "
        f"they have {of_outcomes} and {of_calls} (fill a new topic; adding partitions would move keys)"
    )


def create_claims(cluster: Cluster, name: str) -> None:
    """Create the topic of claims; does nothing if it exists.

    Raises:
        KafkaFailure: the broker refuses, or cannot be reached.
    """
    topic = NewTopic(name, num_partitions=1, replication_factor=BROKERS_CHOICE, config=dict(SETTINGS[CLAIMS]))
    _create(open_admin(admin_config(cluster)), [topic], dry_run=False)


def unwatched_clock(cluster: Cluster, topics: Sequence[str]) -> str | None:
    """A sentence if none of these topics shows the broker's clock, with which this host's is compared; else None.

    Takes up to 10 s.
    """
    settings = _settings(open_admin(admin_config(cluster)), topics)
    if any(of_topic.get(_TIMES) == BROKERS_TIMES for of_topic in settings.values()):
        return None
    return (
        f"{', '.join(topics)}: one should have the broker's times ({_TIMES}={BROKERS_TIMES}); none is seen to have "
        "them, so this host's clock is not watched: if it were behind, records would be refused as `future` (see "
        "docs/operations.md)"
    )


def _partitions(key: str, names: Mapping[str, str], reached: Reached, wanted: int | None) -> int:
    """As many as the other input has: all records of a call should share a partition number."""
    if key in {MARKS, CLAIMS}:
        return 1
    if wanted is not None:
        return wanted
    siblings = [reached.partitions.get(names[other]) for other in INPUTS] if key in INPUTS else []
    return next((count for count in siblings if count is not None), PARTITIONS)


def _create(admin: AdminClient, topics: list[NewTopic], *, dry_run: bool) -> set[str]:
    """Create topics; returns the names of those that were, or would be, created."""
    created = set()
    answers: dict[str, Future[None]] = admin.create_topics(
        topics, validate_only=dry_run, operation_timeout=_TIMEOUT_S, request_timeout=_TIMEOUT_S
    )
    for name, answer in answers.items():
        try:
            answer_of(answer)
        except KafkaException as wrong:
            error = wrong.args[0]
            if error.name() == "TOPIC_ALREADY_EXISTS":  # another client was quicker, or this user may not see it
                continue
            if is_fatal(error) or is_passing(error):
                raise KafkaFailure(sentence(error, name)) from None
            raise KafkaFailure(
                f"{name}: the broker must be able to create the topic; {displayable(error.str())} "
                "(choose another --partitions or --replication, or ask the broker's operator to create it)"
            ) from None
        created.add(name)
    return created


def _settings(admin: AdminClient, names: Iterable[str]) -> dict[str, dict[str, str]]:
    """The settings of each topic; topics whose settings this user may not read are left out."""
    resources = [ConfigResource(ResourceType.TOPIC, name) for name in names]
    settings = {}
    for resource, answer in admin.describe_configs(resources, request_timeout=_ASK_S).items() if resources else ():
        try:
            settings[resource.name] = {key: entry.value or "" for key, entry in answer_of(answer).items()}
        except KafkaException:
            continue
    return settings


def _compared(key: str, name: str, settings: Mapping[str, str]) -> list[str]:
    sentences = []
    wanted = SETTINGS[key]["cleanup.policy"]
    if _policies(settings.get("cleanup.policy", "")) != _policies(wanted):
        harm = "; outcomes of one call would delete each other" if key in INPUTS else ""
        sentences.append(
            f"{name}: cleanup.policy should be {wanted}; it is {settings.get('cleanup.policy')}{harm} "
            f"(kafka-configs --alter --topic {name} --add-config cleanup.policy=[{wanted}])"
        )
    retention_ms = int(settings.get("retention.ms") or -1)
    if key in INPUTS and 0 <= retention_ms < _LEAST_RETENTION_MS:
        sentences.append(
            f"{name}: retention.ms should be at least {_LEAST_RETENTION_MS} (1 d), as a pipeline that is down for "
            f"longer loses records; it is {retention_ms} (raise it)"
        )
    if key == CLAIMS and settings.get(_TIMES) != BROKERS_TIMES:
        sentences.append(
            f"{name}: {_TIMES} should be {BROKERS_TIMES}, so that a wrong clock of this host is noticed; it is "
            f"{settings.get(_TIMES)} (kafka-configs --alter --topic {name} --add-config {_TIMES}={BROKERS_TIMES})"
        )
    least = _LEAST_BYTES if key in INPUTS else _LEAST_OUTPUT_BYTES
    most = int(settings.get("max.message.bytes") or least)
    if most < least:
        sentences.append(
            f"{name}: max.message.bytes should be at least {least}, the largest record; it is {most} (raise it)"
        )
    return sentences


def _policies(text: str) -> set[str]:
    return {policy.strip() for policy in text.split(",")}
