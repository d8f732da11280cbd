"""Records are read again from topics, whole or at single offsets, and copies keep what they had."""

from __future__ import annotations

import os

import pytest
from confluent_kafka import TopicPartition
from confluent_kafka.admin import AdminClient

from connectors.kafka.client import KafkaFailure
from connectors.kafka.cluster import Cluster as Settings
from connectors.kafka.read_again import read_at, read_topic
from connectors.kafka.send_again import Copy, Landed, send_copies
from kafka.clusters import Cluster, RealCluster


def settings(cluster: Cluster) -> Settings:
    return Settings(brokers=cluster.bootstrap)


def test_a_whole_topic_is_read_to_its_end_and_single_offsets_wherever_they_are(broker: Cluster) -> None:
    topic = broker.fresh_topic(3)
    for i in range(5_000):
        broker.send(topic, i % 2, f"k{i}", f"v{i}")  # the third partition stays empty
    broker.flush()
    read = list(read_topic(settings(broker), topic))
    assert sorted((sent.value or b"").decode() for sent in read) == sorted(f"v{i}" for i in range(5_000))
    assert all(sent.at_us > 0 for sent in read)
    # Neighbours, far apart, beyond the end, in a partition and a topic that are not there.
    wanted = {(topic, 0): [2_499, 0, 1, 9_999], (topic, 1): [2_400], (topic, 9): [0], ("no-such-topic", 0): [0]}
    found = [(sent.partition, sent.offset, sent.key, sent.value) for sent in read_at(settings(broker), wanted)]
    assert found == [
        (0, 0, b"k0", b"v0"),
        (0, 1, b"k2", b"v2"),
        (0, 2_499, b"k4998", b"v4998"),
        (1, 2_400, b"k4801", b"v4801"),
    ]


def test_copies_have_their_partition_key_and_headers(broker: Cluster) -> None:
    topic = broker.fresh_topic(3)
    copies = [
        Copy(topic, 2, b"\xff", b"one", (("a", b"1"), ("a", b"2"), ("empty", None))),
        Copy(topic, 0, None, b"two", ()),
    ]
    assert send_copies(settings(broker), copies) == [Landed(2, 0), Landed(0, 0)]
    two, one = broker.read_all(topic)
    assert (one.partition, one.key, one.value, one.headers) == (2, b"\xff", b"one", copies[0].headers)
    assert (two.key, two.value, two.headers) == (None, b"two", ())


def test_a_copy_that_the_broker_refuses_stops_no_other(real_broker: RealCluster) -> None:
    topic = real_broker.fresh_topic(1, max_message_bytes="1000")
    landed = send_copies(
        settings(real_broker),
        [Copy(topic, 0, b"k", os.urandom(size), ()) for size in (3_000, 5)] + [Copy(topic, 7, b"k", b"x", ())],
    )
    assert [bool(each.refused) for each in landed] == [True, False, True]
    assert [len(read.value or b"") for read in real_broker.read_all(topic)] == [5]


def test_what_was_deleted_is_left_out(real_broker: RealCluster) -> None:
    topic = real_broker.fresh_topic(1)
    for i in range(10):
        real_broker.send(topic, 0, "k", f"v{i}")
    real_broker.flush()
    admin = AdminClient(dict(real_broker.client))
    for deleted in admin.delete_records([TopicPartition(topic, 0, 6)]).values():
        deleted.result()
    assert [sent.offset for sent in read_at(settings(real_broker), {(topic, 0): [2, 5, 6, 9]})] == [6, 9]
    assert [sent.offset for sent in read_topic(settings(real_broker), topic)] == [6, 7, 8, 9]


def test_a_topic_that_is_not_there_and_a_broker_that_is_away_are_a_sentence(
    broker: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(KafkaFailure, match=r"^no-such-topic: the topic must exist"):
        next(read_topic(settings(broker), "no-such-topic"))
    monkeypatch.setattr("connectors.kafka.read_again._TIMEOUT_S", 0.5)
    with pytest.raises(KafkaFailure, match=r"^kafka\.brokers: a broker of 127\.0\.0\.1:1 must answer"):
        next(read_topic(Settings(brokers="127.0.0.1:1"), "any"))
