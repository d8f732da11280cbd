"""A topic that need not exist is written as soon as it does, and looked for once a minute until then."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest

from connectors.files.jsonl_sink import JsonlSink
from connectors.kafka.after_epoch import AfterEpoch
from connectors.kafka.optional_sink import LOOK_EVERY_S, OptionalSink
from connectors.kafka.sink import KafkaSink
from kafka.clusters import RealCluster
from kafka.writers import writer

ABSENCE = "agent.trust: is missing"


class Topic:
    """Whether it exists, and how often that was asked; and a clock."""

    def __init__(self) -> None:
        self.is_there, self.asked, self.now_s = False, 0, 100.0

    def exists(self) -> bool:
        self.asked += 1
        return self.is_there


@pytest.fixture
def topic() -> Topic:
    return Topic()


def sink(path: Path, topic: Topic) -> OptionalSink:
    return OptionalSink(JsonlSink(path), topic.exists, ABSENCE, lambda: topic.now_s)  # type: ignore[arg-type] # its state is not needed


def test_records_are_dropped_until_the_topic_is_there_and_its_absence_is_logged_once(
    tmp_path: Path, topic: Topic, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "trust.jsonl"
    part = sink(path, topic).build_part("out", "trust.jsonl", None)
    with caplog.at_level(logging.WARNING, "aftercall.kafka"):
        for number in range(3):
            part.write_batch([[("a", b"%d" % number)]])
            part.snapshot()
        topic.is_there = True
        part.write_batch([[("a", b"3")]])
        assert (topic.asked, path.exists()) == (1, False)
        topic.now_s += LOOK_EVERY_S
        part.write_batch([[("a", b"4")]])
        part.write_batch([[("a", b"5")]])
    part.snapshot()
    assert path.read_bytes() == b"4\n5\n"
    part.close()
    assert topic.asked == 2
    assert [record.message for record in caplog.records] == [ABSENCE]


def test_nothing_is_asked_where_there_is_nothing_to_write(tmp_path: Path, topic: Topic) -> None:
    part = sink(tmp_path / "a.jsonl", topic).build_part("out", "a.jsonl", None)
    part.write_batch([])
    part.snapshot()
    part.close()
    assert topic.asked == 0


def test_what_is_held_for_an_epoch_goes_into_a_topic_that_came_meanwhile(tmp_path: Path, topic: Topic) -> None:
    path = tmp_path / "a.jsonl"
    held = AfterEpoch(sink(path, topic))
    part = held.build_part("out", "only", None)
    part.write_batch([[("a", b"1")]])
    part.snapshot()
    topic.is_there = True
    held.finish()
    part.close()
    assert path.read_bytes() == b"1\n"


def test_it_writes_a_topic_as_its_own_sink_does(real_broker: RealCluster, topic: Topic) -> None:
    name = real_broker.fresh_topic(1)
    topic.is_there = True
    part = OptionalSink(KafkaSink(writer(real_broker.client), name), topic.exists, ABSENCE).build_part("o", "p00", None)
    part.write_batch([[("a", b"1"), ("a", b"2")]])
    part.snapshot()
    assert [one.value for one in real_broker.read_all(name)] == [b"1", b"2"]
    part.close()
