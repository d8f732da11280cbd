"""What a topic as a sink promises: nothing acknowledged is lost, keys stay in order, nothing is retried for ever."""

from __future__ import annotations

import ctypes
import itertools
import json
import logging
import os
import re
import subprocess
import sys
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping
from datetime import timedelta
from hashlib import sha256
from pathlib import Path
from threading import Thread, get_ident
from typing import Any

import bytewax.operators as op
import pytest
from bytewax.dataflow import Dataflow
from bytewax.errors import BytewaxRuntimeError
from bytewax.recovery import RecoveryConfig, init_db_dir
from bytewax.run import cli_main
from bytewax.testing import TestingSource

from aftercall.records import VerdictRecord, to_json
from benchmarks.kafka_broker import Broker
from connectors.block import Block
from connectors.kafka import writer as kafka_writer
from connectors.kafka.client import KafkaFailure, StoppedWaiting, producer_config
from connectors.kafka.cluster import Cluster as Settings
from connectors.kafka.sink import KafkaPart, KafkaSink
from connectors.kafka.writer import KafkaWriter, WriterCallbacks
from connectors.metrics import Metrics
from connectors.pauses import Pauses
from harness.waiting import HANG_S, assert_prompt, until
from kafka.clusters import Cluster, MockCluster, Read, RealCluster

pytestmark = pytest.mark.slow  # each waits for a broker

PRODUCE = 0  # the protocol's number of the request
TOO_LARGE, INVALID_RECORD, NOT_ALLOWED, NOT_ENOUGH_REPLICAS = 10, 87, 29, 19
QUICK = {"reconnect.backoff.max.ms": 200, "linger.ms": 5, "topic.metadata.propagation.max.ms": 500}


class Recorder:
    """Callbacks that keep their arguments."""

    def __init__(self, give_up: Callable[[], bool] = lambda: False) -> None:
        self.beats = 0
        self.confirmed, self.shortened = Counter[str](), Counter[str]()
        self.refused: list[tuple[str, str]] = []
        self.trouble = Counter[str]()
        self.callbacks = WriterCallbacks(
            beat=self._beat,
            give_up=give_up,
            confirmed=lambda topic, count: self.confirmed.update({topic: count}),
            refused=lambda topic, error: self.refused.append((topic, error)),
            shortened=lambda topic: self.shortened.update([topic]),
            passing_error=lambda name: self.trouble.update([name]),
        )

    def _beat(self) -> None:
        self.beats += 1


def writer(
    client: Mapping[str, Any],
    dead_letters: str = "dead",
    recorder: Recorder | None = None,
    more: Mapping[str, Any] = {},
) -> KafkaWriter:
    settings = dict(client)
    brokers = settings.pop("bootstrap.servers")
    config = producer_config(Settings(brokers=brokers, librdkafka=settings | QUICK | dict(more)))
    return KafkaWriter(config, dead_letters, (recorder or Recorder()).callbacks)


def opened(to: KafkaWriter, topic: str) -> KafkaPart:
    sink = KafkaSink(to, topic)
    return sink.build_part("out", sink.list_parts()[0], None)


def block(numbers: Iterable[int], keys: int = 100) -> Block:
    return [(f"k{n % keys}", b'{"n":%d}' % n) for n in numbers]


def by_key(records: list[Read]) -> dict[str, list[int]]:
    found = defaultdict[str, list[int]](list)
    for record in records:
        found[(record.key or b"").decode()].append(json.loads(record.value or b"")["n"])
    return found


def fail_next(mock: MockCluster, *errors: int) -> None:
    """The next requests to produce are answered with these errors."""
    push = mock._library.rd_kafka_mock_push_request_errors_array
    push.argtypes = [ctypes.c_void_p, ctypes.c_int16, ctypes.c_size_t, ctypes.c_void_p]
    push(mock._cluster, PRODUCE, len(errors), (ctypes.c_int * len(errors))(*errors))


def verdict(n: int, reason: str = "fine") -> bytes:
    return to_json(
        VerdictRecord.sealed(
            seq=n, call_id="c", task_type="t", model="m", config="default", verdict="failure", score=None,
            source="judge", outcome_id="o", reason=reason, decided_at=None, age_s=None,
        )
    )  # fmt: skip


# --- what arrives ----------------------------------------------------------------------------------------------------


def test_what_a_snapshot_returned_for_is_there_with_its_keys_in_order(broker: Cluster) -> None:
    topic, recorder = broker.fresh_topic(3), Recorder()
    part = opened(writer(broker.client, recorder=recorder), topic)
    part.write_batch([block(range(500)), block(range(500, 1000)), []])
    part.write_batch([])
    part.snapshot()
    records = broker.read_all(topic)
    assert len(records) == 1000
    assert all(numbers == sorted(numbers) for numbers in by_key(records).values())
    assert len(by_key(records)) == 100
    assert recorder.confirmed == {topic: 1000}
    part.write_batch([block(range(1000, 1100))])
    part.close()
    assert len(broker.read_all(topic)) == 1100
    assert recorder.confirmed == {topic: 1100}
    assert recorder.refused == []


def test_a_tombstone_and_a_record_without_a_key_can_be_written(broker: Cluster) -> None:
    topic = broker.fresh_topic(2)
    part = opened(writer(broker.client), topic)
    part.write_batch([[("a", b'{"n":1}'), ("a", None), ("", b'{"n":2}')]])
    part.close()
    assert Counter((one.key, one.value) for one in broker.read_all(topic)) == Counter(
        [(b"a", b'{"n":1}'), (b"a", None), (None, b'{"n":2}')]
    )


def test_more_than_may_be_on_its_way_is_waited_for_in_between(
    mock_broker: MockCluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kafka_writer, "MOST_RECORDS", 1000)
    topic = mock_broker.fresh_topic(2)
    to = writer(mock_broker.client, more={"queue.buffering.max.messages": 100})
    part = opened(to, topic)
    for start in range(0, 10_000, 500):
        part.write_batch([block(range(start, start + 500))])
        assert to._records <= 1500
    part.close()
    found = by_key(mock_broker.read_all(topic))
    assert sorted(itertools.chain.from_iterable(found.values())) == list(range(10_000))
    assert all(numbers == sorted(numbers) for numbers in found.values())


def test_all_parts_of_a_process_share_a_producer_until_the_last_one_closes(mock_broker: MockCluster) -> None:
    to = writer(mock_broker.client)
    first, second = opened(to, mock_broker.fresh_topic()), opened(to, mock_broker.fresh_topic())
    made = to._producer()
    first.close()
    assert to._made is made
    second.write_batch([block([1])])
    second.close()
    assert to._made is None


# --- a broker that is away -------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_a_snapshot_waits_for_the_broker_however_long_and_logs_it(
    mock_broker: MockCluster, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kafka_writer, "PAUSED_AFTER_S", 0.6)
    monkeypatch.setattr(kafka_writer, "PAUSES", pauses := Pauses(Metrics(), linger_s=0))
    caplog.set_level(logging.INFO, logger="aftercall.run")
    topic, recorder = mock_broker.fresh_topic(), Recorder()
    part = opened(writer(mock_broker.client, recorder=recorder), topic)
    part.write_batch([block([0])])
    part.snapshot()
    mock_broker._library.rd_kafka_mock_broker_set_down(mock_broker._cluster, 1)
    part.write_batch([block(range(1, 100))])
    waiting = Thread(target=part.snapshot)
    waiting.start()
    until(lambda: recorder.beats >= 12 and len(caplog.records) >= 1, lambda: (recorder.beats, caplog.text))
    assert waiting.is_alive()
    assert pauses.names() == ["unacknowledged"]
    assert recorder.confirmed == {topic: 1}
    mock_broker._library.rd_kafka_mock_broker_set_up(mock_broker._cluster, 1)
    waiting.join(HANG_S)
    assert not waiting.is_alive()
    assert recorder.confirmed == {topic: 100}
    assert len(mock_broker.read_all(topic)) == 100
    assert pauses.names() == []
    begun, over = (record.message for record in caplog.records)
    assert begun.startswith("paused (unacknowledged): 99 output records are not acknowledged")
    assert over.startswith("resumed (unacknowledged), after ")


def test_when_asked_to_stop_it_raises_and_so_does_everything_after(mock_broker: MockCluster) -> None:
    """A snapshot that returned would let the epoch be committed without its records."""
    mock_broker._library.rd_kafka_mock_broker_set_down(mock_broker._cluster, 1)
    to = writer(mock_broker.client, recorder=Recorder(give_up=lambda: True))
    part, other = opened(to, "a"), opened(to, "b")
    part.write_batch([block(range(10))])
    with pytest.raises(StoppedWaiting, match=r"1\d were not by the deadline to stop"):
        part.snapshot()
    for action in (other.snapshot, part.snapshot, lambda: other.write_batch([block([1])])):
        with pytest.raises(StoppedWaiting):
            action()
    part.close()
    other.close()


def test_closing_gets_off_what_it_can_and_never_raises(
    mock_broker: MockCluster, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Bytewax closes sinks from a destructor when another step has failed: an exception there aborts the process."""
    monkeypatch.setattr(kafka_writer, "CLOSE_S", 30.0)
    topic = mock_broker.fresh_topic()
    part = opened(writer(mock_broker.client), topic)
    part.write_batch([block(range(10))])
    part.close()
    assert len(mock_broker.read_all(topic)) == 10
    monkeypatch.setattr(kafka_writer, "CLOSE_S", 1.0)
    mock_broker._library.rd_kafka_mock_broker_set_down(mock_broker._cluster, 1)
    to = writer(mock_broker.client)
    parts = [opened(to, topic) for _ in range(100)]
    parts[0].write_batch([block(range(10))])
    start = time.monotonic()
    for one in parts:
        one.close()
    assert time.monotonic() - start < 50, "each that waited would take a second"
    assert re.search(r"1\d were not", caplog.text)  # the client counts its own requests too


@pytest.mark.slow
def test_a_process_that_stopped_waiting_ends_at_once(mock_broker: MockCluster) -> None:
    program = (
        "from connectors.kafka.client import *; from connectors.kafka.cluster import Cluster;"
        "from connectors.kafka.writer import *; from connectors.kafka.sink import *;"
        "w = KafkaWriter(producer_config(Cluster(brokers='localhost:1')), 'd', WriterCallbacks(give_up=lambda: True));"
        "p = KafkaPart(w, 't'); p.write_batch([[('k', b'1')] * 1000]); p.snapshot()"
    )
    start = time.monotonic()
    root = Path(__file__).parents[3]
    path = os.pathsep.join([str(root), str(root / "sdk")])
    done = subprocess.run(
        [sys.executable, "-c", program], env=os.environ | {"PYTHONPATH": path}, capture_output=True, text=True,
        timeout=HANG_S, check=False,
    )  # fmt: skip
    assert done.returncode == 1
    assert "StoppedWaiting: kafka: every record must be acknowledged" in done.stderr
    assert "FAIL" not in done.stderr
    assert_prompt(start, 10, lambda: done.stderr)


@pytest.mark.slow
def test_killed_in_between_a_real_broker_still_gets_everything_in_order(new_broker: Callable[..., Broker]) -> None:
    broker = new_broker()
    broker.start()
    broker.topic("t", 3)
    recorder = Recorder()
    part = opened(writer(broker.client, recorder=recorder), "t")
    stop = False

    def harm() -> None:
        for _ in range(2):
            time.sleep(0.7)
            broker.kill()
            time.sleep(0.5)
            broker.start()
        nonlocal stop
        stop = True

    harming = Thread(target=harm)
    harming.start()
    sent = 0
    while not stop or sent < 20_000:
        part.write_batch([block(range(sent, sent + 200))])
        sent += 200
        part.snapshot()
        assert recorder.confirmed["t"] == sent
    harming.join()
    part.close()
    found = by_key(RealCluster(broker.client).read_all("t"))
    assert sorted(itertools.chain.from_iterable(found.values())) == list(range(sent))  # idempotence: each once
    assert all(numbers == sorted(numbers) for numbers in found.values())
    assert recorder.beats > 0


# --- what the broker does not want -----------------------------------------------------------------------------------


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
    fail_next(mock_broker, TOO_LARGE)
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
    fail_next(mock_broker, INVALID_RECORD, INVALID_RECORD, INVALID_RECORD)
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
    fail_next(mock_broker, NOT_ENOUGH_REPLICAS, NOT_ENOUGH_REPLICAS)
    part.write_batch([block(range(10))])
    part.close()
    assert set(itertools.chain.from_iterable(by_key(mock_broker.read_all(topic)).values())) == set(range(10))
    assert recorder.refused == []


def test_what_is_not_allowed_ends_it(mock_broker: MockCluster) -> None:
    topic = mock_broker.fresh_topic()
    part = opened(writer(mock_broker.client), topic)
    fail_next(mock_broker, NOT_ALLOWED)
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


# --- in Bytewax ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("workers", [1, 2])
def test_in_a_dataflow_with_recovery_an_epoch_counts_only_once_its_records_are_there(
    tmp_path: Path, mock_broker: MockCluster, workers: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two runs over one recovery store: what the first one wrote is not written again, and none is missing."""
    topic = mock_broker.fresh_topic(3)
    store = tmp_path / "store"
    store.mkdir()
    init_db_dir(store, 1)
    threads = set[int]()

    def run(source: list[Any]) -> None:
        flow = Dataflow("f")
        numbers = op.input("in", flow, TestingSource(source, batch_size=10))
        blocks = op.map("block", numbers, lambda n: (f"s{n % 12}", [(f"k{n % 12}", b'{"n":%d}' % n)]))
        sink: Any = KafkaSink(writer(mock_broker.client), topic)
        build = sink.build_part

        def counted(*given: Any) -> Any:
            threads.add(get_ident())
            return build(*given)

        monkeypatch.setattr(sink, "build_part", counted)
        op.output("out", blocks, sink)
        cli_main(
            flow,
            workers_per_process=workers,
            epoch_interval=timedelta(0),
            recovery_config=RecoveryConfig(store),
        )

    source: list[Any] = [*range(500), TestingSource.EOF(), *range(500, 1000)]
    run(source)
    assert len(mock_broker.read_all(topic)) == 500
    run(source)
    found = by_key(mock_broker.read_all(topic))
    assert sorted(itertools.chain.from_iterable(found.values())) == list(range(1000))
    assert all(numbers == sorted(numbers) for numbers in found.values())
    assert len(threads) >= workers


def test_an_epoch_whose_records_did_not_arrive_is_repeated(tmp_path: Path, mock_broker: MockCluster) -> None:
    topic = mock_broker.fresh_topic()
    store = tmp_path / "store"
    store.mkdir()
    init_db_dir(store, 1)

    def run(recorder: Recorder) -> None:
        flow = Dataflow("f")
        numbers = op.input("in", flow, TestingSource(list(range(20)), batch_size=1))
        blocks = op.map("block", numbers, lambda n: ("s", [("k", b'{"n":%d}' % n)]))
        sink: Any = KafkaSink(writer(mock_broker.client, recorder=recorder), topic)
        op.output("out", blocks, sink)
        cli_main(flow, workers_per_process=1, epoch_interval=timedelta(0), recovery_config=RecoveryConfig(store))

    mock_broker._library.rd_kafka_mock_broker_set_down(mock_broker._cluster, 1)
    with pytest.raises(BytewaxRuntimeError) as caught:
        run(Recorder(give_up=lambda: True))
    assert isinstance(caught.value.__cause__, StoppedWaiting)
    mock_broker._library.rd_kafka_mock_broker_set_up(mock_broker._cluster, 1)
    run(Recorder())
    assert by_key(mock_broker.read_all(topic))["k"][-20:] == list(range(20))
