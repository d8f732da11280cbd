"""Says which topics a service uses."""

from __future__ import annotations

from flows.settings.sections import Kafka


def topics_in_use(kafka: Kafka, *, publish_checks: bool) -> dict[str, str]:
    """Names of the topics that are read and written, by their keys in `[kafka.topics]`.

    >>> list(topics_in_use(Kafka(), publish_checks=False))[-3:]
    ['alerts', 'dead_letters', 'claims']
    """
    return {key: name for key, name in kafka.topics.model_dump().items() if publish_checks or key != "checks"}
