"""What the client of Kafka reports: once, in words of ours, and nothing of its settings."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest

from aftercall.emitter import Emitter
from aftercall.transports.kafka import KafkaTransport
from aftercall.transports.transport import Message, Receipt, UnavailableError
from harness.emitting import closing, emit, wait_for
from kafka.clusters import NOT_LEADER, MockCluster


def test_a_broker_that_is_away_is_logged_once_without_its_settings(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING, "aftercall")
    transport = KafkaTransport("127.0.0.1:9", {"client.id": "secret"})
    with closing(Emitter(transport, spool=tmp_path)) as emitter:
        emit(emitter, "a", "b")
        wait_for(lambda: "no connection to a broker; events wait in the spool" in caplog.text)
        assert emitter.stats().handed_over == 2
    assert caplog.text.count("no connection to a broker") == 1
    assert "secret" not in caplog.text


def test_settings_that_the_client_refuses_make_events_wait_and_are_logged(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    transport = KafkaTransport("127.0.0.1:9", {"no.such.setting": "secret"})
    with closing(Emitter(transport, spool=tmp_path)) as emitter:
        emit(emitter, "a")
        wait_for(lambda: "the client refuses its settings" in caplog.text)
        assert emitter.stats().balanced
    assert "no.such.setting" in caplog.text
    assert "secret" not in caplog.text


def test_a_key_is_placed_as_clients_in_other_languages_place_it(mock_broker: MockCluster) -> None:
    """murmur2, as Java's does: of these keys and four partitions, known from its documentation's algorithm."""
    topic = mock_broker.fresh_topic(4)
    transport = KafkaTransport(mock_broker.bootstrap, calls=topic)
    transport.open()
    keys = [f"call-{number}" for number in range(40)]
    transport.offer([(number, Message("calls", key, b"{}")) for number, key in enumerate(keys)])
    answered = 0
    while answered < len(keys):
        answered += len(transport.receipts(1.0))
    transport.close(1)
    found = {str(record.key, "ascii"): record.partition for record in mock_broker.read_all(topic) if record.key}
    assert found == {key: (murmur2(key.encode()) & 0x7FFFFFFF) % 4 for key in keys}


@pytest.mark.slow
def test_a_batch_refused_before_one_that_is_taken_is_sent_again(mock_broker: MockCluster) -> None:
    """With several requests in flight librdkafka would take the one for the other, and report both as delivered."""
    first, topic = mock_broker.fresh_topic(), mock_broker.fresh_topic()
    transport = KafkaTransport(mock_broker.bootstrap, calls=topic, outcomes=first)
    transport.open()
    transport.offer([(0, Message("outcomes", "a", b"{}"))])  # connects, and gets the producer its number
    answers: list[Receipt] = []
    while not answers:
        answers += transport.receipts(1.0)
    mock_broker.answers_slowly(100)
    mock_broker.fail_next(NOT_LEADER)
    for number in range(1, 11):
        transport.offer([(number, Message("calls", f"call-{number}", b"{}"))])
        answers += transport.receipts(0.03)  # longer than `linger.ms`: each offer is a batch
    while len(answers) < 11:
        answers += transport.receipts(1.0)
    transport.close(1)
    assert {receipt.answer for receipt in answers} == {"acknowledged"}
    assert [str(record.key, "ascii") for record in mock_broker.read_all(topic) if record.key] == [
        f"call-{number}" for number in range(1, 11)
    ]


def murmur2(data: bytes) -> int:
    """`org.apache.kafka.common.utils.Utils.murmur2`, with the seed 0x9747b28c."""
    m, mask = 0x5BD1E995, 0xFFFFFFFF
    h = (0x9747B28C ^ len(data)) & mask
    whole = len(data) & ~3
    for place in range(0, whole, 4):
        k = (int.from_bytes(data[place : place + 4], "little") * m) & mask
        k = ((k ^ (k >> 24)) * m) & mask
        h = ((h * m) & mask) ^ k
    if rest := data[whole:]:
        h = ((h ^ int.from_bytes(rest, "little")) * m) & mask
    h = ((h ^ (h >> 13)) * m) & mask
    return h ^ (h >> 15)


def test_what_is_offered_to_a_closed_one_waits() -> None:
    with pytest.raises(UnavailableError, match="is closed"):
        KafkaTransport("127.0.0.1:9").offer([(1, Message("calls", "a", b"{}"))])
