"""The topics as the reference wants them; made on a broker in tests/connectors/kafka/test_topics_on_brokers.py."""

from __future__ import annotations

import pytest

from aftercall.schema import TOPICS
from connectors.kafka.topics import SETTINGS, _compared, uneven_inputs


def test_every_topic_is_made_with_the_cleanup_policies_of_the_reference() -> None:
    ours = {"claims": "compact"}  # services write it for each other
    assert ours | {topic.name: ",".join(topic.policies) for topic in TOPICS} == {
        name: settings["cleanup.policy"] for name, settings in SETTINGS.items()
    }


@pytest.mark.parametrize("key", SETTINGS)
def test_a_topic_that_we_made_differs_in_nothing(key: str) -> None:
    assert _compared(key, "t", {"max.message.bytes": "1048588", **SETTINGS[key]}) == []


@pytest.mark.parametrize(
    ("key", "settings", "start"),
    [
        ("outcomes", {"cleanup.policy": "compact"}, "t: cleanup.policy should be delete; it is compact; outcomes"),
        ("verdicts", {"cleanup.policy": "delete"}, "t: cleanup.policy should be compact,delete; it is delete ("),
        ("calls", {"retention.ms": "3600000"}, "t: retention.ms should be at least 86400000 (1 d)"),
        ("calls", {"max.message.bytes": "1000000"}, "t: max.message.bytes should be at least 1048576"),
        ("claims", {"message.timestamp.type": "CreateTime"}, "t: message.timestamp.type should be LogAppendTime"),
        ("alerts", {"max.message.bytes": "1000"}, "t: max.message.bytes should be at least 131072"),
    ],
)  # fmt: skip
def test_a_difference_that_matters_is_one_sentence(key: str, settings: dict[str, str], start: str) -> None:
    (sentence,) = _compared(key, "t", {**SETTINGS[key], **settings})
    assert sentence.startswith(start)


def test_differences_that_do_not_matter_are_left_to_the_user() -> None:
    assert _compared("calls", "t", {"cleanup.policy": "delete", "retention.ms": "-1"}) == []
    assert _compared("verdicts", "t", {"cleanup.policy": "delete,compact", "retention.ms": "1"}) == []


def test_calls_and_outcomes_should_have_as_many_partitions() -> None:
    assert uneven_inputs(["c", "o"], {"c": 12, "o": 12}) is None
    assert uneven_inputs(["c", "o"], {"c": 12}) is None
    assert "o: should have as many partitions as c" in str(uneven_inputs(["c", "o"], {"c": 12, "o": 6}))
    assert "they have 6 and 12" in str(uneven_inputs(["c", "o"], {"c": 12, "o": 6}))
