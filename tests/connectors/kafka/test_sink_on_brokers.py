"""What a topic as a sink promises: nothing acknowledged is lost, keys stay in order, nothing is retried for ever."""

from __future__ import annotations

import itertools
import logging
import os
import re
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from datetime import timedelta
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

from benchmarks.kafka_broker import Broker
from connectors.kafka import writer as kafka_writer
from connectors.kafka.client import StoppedWaiting
from connectors.kafka.sink import KafkaSink
from connectors.metrics import Metrics
from connectors.pauses import Pauses
from harness.waiting import HANG_S, assert_prompt, until
from kafka.clusters import Cluster, MockCluster, RealCluster
from kafka.writers import Recorder, block, by_key, opened, writer

pytestmark = pytest.mark.slow  # each waits for a broker


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
    monkeypatch.setattr(kafka_writer, "PAUSES", pauses := Pauses(Metrics(), linger_s=0))
    caplog.set_level(logging.INFO, logger="aftercall.run")
    topic, recorder = mock_broker.fresh_topic(), Recorder()
    part = opened(writer(mock_broker.client, recorder=recorder), topic)
    part.write_batch([block([0])])
    part.snapshot()
    # Only now: on a busy machine the broker that is there may take longer than this.
    monkeypatch.setattr(kafka_writer, "PAUSED_AFTER_S", 0.6)
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
