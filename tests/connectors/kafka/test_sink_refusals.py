"""What a topic as a sink does with records that the broker does not want."""

from __future__ import annotations

import itertools
import json
import time
from collections.abc import Callable
from hashlib import sha256

import pytest

from aftercall.records import VerdictRecord, to_json
from benchmarks.kafka_broker import Broker
from connectors.kafka.client import KafkaFailure
from kafka.clusters import NOT_LEADER, Cluster, MockCluster, RealCluster
from kafka.writers import Recorder, block, by_key, opened, writer

pytestmark = pytest.mark.slow  # each waits for a broker


TOO_LARGE, INVALID_RECORD, NOT_ALLOWED, NOT_ENOUGH_REPLICAS = 10, 87, 29, 19


def verdict(n: int, reason: str = "fine") -> bytes:
    return to_json(
        VerdictRecord.sealed(
            seq=n, call_id="c", task_type="t", model="m", config="default", verdict="failure", score=None,
            source="judge", outcome_id="o", reason=reason, decided_at=None, age_s=None,
        )
    )  # fmt: skip


def test_a_record_too_large_for_the_client_is_shortened_in_its_place(broker: Cluster) -> None:
    topic, dead, recorder = broker.fresh_topic(), broker.fresh_topic(), Recorder()
    part = opened(writer(broker.client, dead, recorder, more={"message.max.bytes": 2000}), topic)
    whole = [verdict(1), verdict(2, "x" * 3000), verdict(3)]
    part.write_batch([[("c", value) for value in whole]])
    part.snapshot()
    records = broker.read_all(topic)
    assert [json.loads(record.value or b"")["seq"] for record in records] == [1, 2, 3]
    cut = VerdictRecord.parse(records[1].value or b"")
    assert cut.reason is None
    assert cut.event_id == json.loads(whole[1])["event_id"]
    assert broker.read_all(dead) == []
    assert (recorder.shortened, recorder.confirmed, recorder.refused) == ({topic: 1}, {topic: 3}, [])
    part.close()


def test_a_batch_refused_before_one_that_is_taken_is_written_again(mock_broker: MockCluster) -> None:
    """With several requests in flight librdkafka would take the one for the other, and report both as delivered."""
    topic, recorder = mock_broker.fresh_topic(), Recorder()
    part = opened(writer(mock_broker.client, recorder=recorder), topic)
    part.write_batch([block([0])])  # this broker forgets the producer at once, as a real one does after a day
    part.snapshot()
    mock_broker.answers_slowly(100)
    mock_broker.fail_next(NOT_LEADER)
    for number in range(1, 10):
        part.write_batch([block([number])])
        time.sleep(0.02)  # longer than `linger.ms`: each is a batch
    part.close()
    assert [json.loads(record.value or b"")["n"] for record in mock_broker.read_all(topic)] == list(range(10))
    assert recorder.confirmed[topic] == 10


def test_one_that_cannot_be_shortened_becomes_a_dead_letter(broker: Cluster) -> None:
    topic, dead, recorder = broker.fresh_topic(), broker.fresh_topic(), Recorder()
    part = opened(writer(broker.client, dead, recorder, more={"message.max.bytes": 2000}), topic)
    huge = b'{"n":1,"text":"%s"}' % (b"x" * 3000)
    part.write_batch([[("a", b'{"n":0}'), ("a", huge), ("a", b'{"n":2}')]])
    part.close()
    assert by_key(broker.read_all(topic)) == {"a": [0, 2]}
    (letter,) = broker.read_all(dead)
    assert letter.key == b"a"
    body = json.loads(letter.value or b"")
    assert body["reason"] == "refused_output"
    assert (body["size"], body["sha256"]) == (len(huge), sha256(huge).hexdigest())
    assert (body["origin"], body["payload"]) == (None, None)
    assert body["detail"].startswith(f"{topic}: the broker refused this output of {len(huge)} bytes as MSG_SIZE")
    assert recorder.refused == [(topic, "MSG_SIZE_TOO_LARGE")]
    assert recorder.confirmed == {topic: 2, dead: 1}


@pytest.mark.slow
def test_a_batch_that_is_too_large_is_sent_in_smaller_ones_and_loses_nothing(real_broker: RealCluster) -> None:
    """The broker's limit is on batches: librdkafka reports every record of one as too large, sound ones too."""
    topic, dead = real_broker.fresh_topic(max_message_bytes="20000"), real_broker.fresh_topic()
    recorder = Recorder()
    to = writer(real_broker.client, dead, recorder, more={"compression.type": "none"})
    part = opened(to, topic)
    for start in range(0, 3000, 1000):
        part.write_batch([[(f"k{n % 7}", b'{"n":%d,"t":"%s"}' % (n, b"x" * 100)) for n in range(start, start + 1000)]])
        part.snapshot()
    assert to._batch_bytes < 20_000
    part.close()
    found = by_key(real_broker.read_all(topic))
    assert set(itertools.chain.from_iterable(found.values())) == set(range(3000))
    assert {key: numbers[-1] for key, numbers in found.items()} == {key: max(numbers) for key, numbers in found.items()}
    assert recorder.confirmed == {topic: 3000}
    assert recorder.refused == []
    assert real_broker.read_all(dead) == []


def test_after_a_refusal_the_last_record_of_a_key_is_still_its_newest(mock_broker: MockCluster) -> None:
    """Others of the same key may have arrived already: they are sent again, after the one that was refused."""
    topic, dead, recorder = mock_broker.fresh_topic(), mock_broker.fresh_topic(), Recorder()
    part = opened(writer(mock_broker.client, dead, recorder, more={"batch.num.messages": 1}), topic)
    mock_broker.fail_next(TOO_LARGE)
    part.write_batch([[("a", b'{"n":0}'), ("a", b'{"n":1}'), ("b", b'{"n":2}'), ("a", b'{"n":3}')]])
    part.close()
    found = by_key(mock_broker.read_all(topic))
    assert set(found["a"]) == {0, 1, 3}
    assert found["a"][-3:] == [0, 1, 3]
    assert set(found["b"]) == {2}
    assert recorder.confirmed == {topic: 4}
    assert mock_broker.read_all(dead) == []


def test_a_record_refused_for_another_reason_becomes_a_dead_letter_and_others_go_on(real_broker: RealCluster) -> None:
    """A compacted topic takes no record without a key."""
    topic, dead, recorder = real_broker.fresh_topic(cleanup_policy="compact"), real_broker.fresh_topic(), Recorder()
    part = opened(writer(real_broker.client, dead, recorder), topic)
    part.write_batch([[("a", b'{"n":0}'), ("", b'{"n":1}'), ("a", b'{"n":2}')]])
    part.close()
    assert by_key(real_broker.read_all(topic))["a"][-1] == 2
    assert recorder.refused == [(topic, "INVALID_RECORD")]
    (letter,) = real_broker.read_all(dead)
    assert json.loads(letter.value or b"")["reason"] == "refused_output"


def test_where_even_the_dead_letter_is_refused_it_is_counted_and_logged(
    mock_broker: MockCluster, caplog: pytest.LogCaptureFixture
) -> None:
    topic, dead, recorder = mock_broker.fresh_topic(), mock_broker.fresh_topic(), Recorder()
    part = opened(writer(mock_broker.client, dead, recorder), topic)
    mock_broker.fail_next(INVALID_RECORD, INVALID_RECORD, INVALID_RECORD)
    part.write_batch([[("a", b'{"n":0,"input":"private"}')]])
    part.snapshot()
    part.write_batch([[("b", b'{"n":1}')]])
    part.close()
    assert recorder.refused == [(topic, "INVALID_RECORD"), (dead, "INVALID_RECORD")]
    assert by_key(mock_broker.read_all(topic)) == {"b": [1]}
    assert "refuses the record of key 'a' for good" in caplog.text
    assert "private" not in caplog.text
    assert recorder.confirmed == {topic: 1}


def test_what_passes_is_tried_again(mock_broker: MockCluster) -> None:
    topic, recorder = mock_broker.fresh_topic(), Recorder()
    part = opened(writer(mock_broker.client, recorder=recorder), topic)
    mock_broker.fail_next(NOT_ENOUGH_REPLICAS, NOT_ENOUGH_REPLICAS)
    part.write_batch([block(range(10))])
    part.close()
    assert set(itertools.chain.from_iterable(by_key(mock_broker.read_all(topic)).values())) == set(range(10))
    assert recorder.refused == []


def test_what_is_not_allowed_ends_it(mock_broker: MockCluster) -> None:
    topic = mock_broker.fresh_topic()
    part = opened(writer(mock_broker.client), topic)
    mock_broker.fail_next(NOT_ALLOWED)
    part.write_batch([block([1])])
    for _ in range(2):
        with pytest.raises(KafkaFailure, match=f"^{topic}: the broker must let this user .* write"):
            part.snapshot()


def test_a_topic_that_does_not_exist_ends_it(real_broker: RealCluster) -> None:
    part = opened(writer(real_broker.client), "nowhere")
    part.write_batch([block([1])])
    with pytest.raises(KafkaFailure, match="aftercall topics create"):
        part.snapshot()


@pytest.mark.slow
def test_wrong_credentials_end_it_while_it_waits(new_broker: Callable[..., Broker]) -> None:
    broker = new_broker(users={"u": "right-hush"})
    broker.start()
    part = opened(writer(broker.client | {"sasl.password": "wrong-hush"}), "t")
    part.write_batch([block([1])])
    with pytest.raises(KafkaFailure, match="must accept the credentials") as caught:
        part.snapshot()
    assert "hush" not in str(caught.value)
