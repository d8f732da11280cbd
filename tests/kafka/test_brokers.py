"""The brokers that other tests stand on do what those tests believe."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka import Consumer, KafkaException, Producer, TopicPartition
from confluent_kafka.admin import AdminClient

from benchmarks import kafka_jars
from benchmarks.kafka_broker import Broker, main
from harness.waiting import HANG_S, until
from kafka.clusters import Cluster, MockCluster, RealCluster
from system.runs import ROOT, environment

pytestmark = pytest.mark.slow  # each waits for a broker

NewBroker = Callable[..., Broker]


def test_what_is_produced_is_read_back_as_it_was(broker: Cluster) -> None:
    topic = broker.fresh_topic(partitions=3)
    broker.produce(topic, 2, "key", "value", [("a", b"1"), ("a", b"2")], timestamp_ms=1_700_000_000_123)
    broker.produce(topic, 0, None, b"\xff")
    broker.produce(topic, 2, b"key", None)
    first, second, third = broker.read_all(topic)
    assert first[:4] == (0, 0, None, b"\xff")
    assert second == (2, 0, b"key", b"value", (("a", b"1"), ("a", b"2")), 1_700_000_000_123)
    assert third[:5] == (2, 1, b"key", None, ())


def test_a_topic_has_the_partitions_it_was_given(broker: Cluster) -> None:
    for partitions in (1, 7):
        topic = broker.fresh_topic(partitions=partitions)
        assert len(AdminClient(broker.client).list_topics(topic, timeout=HANG_S).topics[topic].partitions) == partitions
        assert broker.read_all(topic) == []


def test_one_key_is_in_one_partition_and_in_order(broker: Cluster) -> None:
    topic = broker.fresh_topic(partitions=4)
    for number in range(200):
        broker.send(topic, None, f"key-{number % 10}", str(number))
    broker.flush()
    by_key: dict[bytes | None, list[tuple[int, int]]] = {}
    for read in broker.read_all(topic):
        by_key.setdefault(read.key, []).append((read.partition, int(read.value or b"")))
    assert len(by_key) == 10
    for of_key in by_key.values():
        assert len({partition for partition, _ in of_key}) == 1
        assert len(of_key) == 20
        assert [number for _, number in of_key] == sorted(number for _, number in of_key)


def test_a_group_goes_on_where_it_committed(broker: Cluster) -> None:
    topic = broker.fresh_topic()
    for number in range(4):
        broker.produce(topic, 0, None, str(number))

    def take_two() -> list[bytes | None]:
        consumer = Consumer(broker.client | {"group.id": f"group-{topic}", "enable.auto.commit": False})
        try:
            (committed,) = consumer.committed([TopicPartition(topic, 0)], timeout=HANG_S)
            consumer.assign([TopicPartition(topic, 0, max(0, committed.offset))])
            taken = [message.value() for message in consumer.consume(2, timeout=HANG_S)]
            consumer.commit(asynchronous=False)
        finally:
            consumer.close()
        return taken

    assert [take_two(), take_two()] == [[b"0", b"1"], [b"2", b"3"]]


def test_a_subscriber_is_given_the_partitions(broker: Cluster) -> None:
    topic = broker.fresh_topic(partitions=2)
    for partition in (0, 1):
        broker.produce(topic, partition, None, str(partition))
    consumer = Consumer(broker.client | {"group.id": f"group-{topic}", "auto.offset.reset": "earliest"})
    consumer.subscribe([topic])
    taken = {message.value() for message in consumer.consume(2, timeout=HANG_S)}
    consumer.close()
    assert taken == {b"0", b"1"}


def test_another_process_reaches_it(broker: Cluster) -> None:
    topic = broker.fresh_topic()
    script = (
        "import sys; from confluent_kafka import Producer\n"
        "made = Producer({'bootstrap.servers': sys.argv[1], 'enable.idempotence': True, 'compression.type': 'zstd'})\n"
        "made.produce(sys.argv[2], b'from there'); sys.exit(made.flush(30))"
    )
    subprocess.run([sys.executable, "-c", script, broker.bootstrap, topic], check=True, timeout=HANG_S)
    assert [read.value for read in broker.read_all(topic)] == [b"from there"]


def test_the_mock_refuses_topic_settings(mock_broker: MockCluster) -> None:
    with pytest.raises(AssertionError, match="take `real_broker`"):
        mock_broker.fresh_topic(retention_ms="1000")


def test_only_committed_transactions_are_read(real_broker: RealCluster) -> None:
    topic = real_broker.fresh_topic()
    producer = Producer(real_broker.client | {"transactional.id": topic})
    producer.init_transactions(30)
    for value, end in ((b"kept", producer.commit_transaction), (b"dropped", producer.abort_transaction)):
        producer.begin_transaction()
        producer.produce(topic, value)
        producer.flush(30)
        end(30)
    assert [read.value for read in real_broker.read_all(topic)] == [b"kept"]


def test_a_topic_has_the_settings_it_was_given(real_broker: RealCluster) -> None:
    topic = real_broker.fresh_topic(max_message_bytes="1000")
    with pytest.raises(KafkaException, match="MSG_SIZE_TOO_LARGE"):
        real_broker.produce(topic, 0, None, os.urandom(2000))


@pytest.mark.slow
def test_killed_and_started_again_it_has_its_records_and_its_port(new_broker: NewBroker) -> None:
    broker = new_broker()
    broker.start()
    cluster = RealCluster(broker.client)
    topic = cluster.fresh_topic(partitions=2)
    cluster.produce(topic, 0, "a", "before")
    bootstrap = broker.bootstrap
    broker.kill()
    assert broker.pid is None
    broker.start()
    cluster.produce(topic, 1, "b", "after a kill")
    broker.stop()
    broker.start()
    assert [read.value for read in cluster.read_all(topic)] == [b"before", b"after a kill"]
    assert broker.bootstrap == bootstrap


@pytest.mark.slow
def test_a_broker_with_users_refuses_wrong_credentials(new_broker: NewBroker) -> None:
    broker = new_broker(users={"ada": "right", "bob": "also right"})
    broker.start()
    for right in (broker.client, broker.client | {"sasl.username": "bob", "sasl.password": "also right"}):
        assert AdminClient(right).list_topics(timeout=HANG_S).brokers
    errors: list[str] = []
    settings: dict[str, Any] = {"sasl.password": "wrong", "error_cb": lambda error: errors.append(error.name())}
    wrong = AdminClient(broker.client | settings | {"log_level": 2})
    with pytest.raises(KafkaException):
        wrong.list_topics(timeout=2)
    until(lambda: wrong.poll(0.1) >= 0 and "_AUTHENTICATION" in errors, lambda: errors)


@pytest.mark.slow
def test_further_properties_hold_and_nothing_is_left_behind(new_broker: NewBroker) -> None:
    broker = new_broker(properties={"message.max.bytes": "1000"})
    with broker:
        cluster = RealCluster(broker.client)
        topic = cluster.fresh_topic()
        with pytest.raises(KafkaException, match="MSG_SIZE_TOO_LARGE"):
            cluster.produce(topic, 0, None, os.urandom(2000))
        with pytest.raises(kafka_jars.BrokerError, match="is taken by another program"):
            new_broker(port=broker.port).start()
        pid = broker.pid
        assert pid is not None
    assert not _lives(pid)
    assert not broker.data.exists()


@pytest.mark.slow
def test_it_never_outlives_the_process_that_started_it(new_broker: NewBroker, tmp_path: Path) -> None:
    script = (
        "import sys, time; from pathlib import Path; from benchmarks.kafka_broker import Broker\n"
        "made = Broker(data=Path(sys.argv[1])); made.start(); print(made.pid, flush=True); time.sleep(600)"
    )
    with subprocess.Popen(
        [sys.executable, "-c", script, str(tmp_path)], env=environment(), stdout=subprocess.PIPE, cwd=ROOT
    ) as parent:
        assert parent.stdout is not None
        pid = int(parent.stdout.readline())
        assert _lives(pid)
        parent.kill()
    until(lambda: not _lives(pid), lambda: f"process {pid} lives")


@pytest.mark.slow
@pytest.mark.parametrize("sent", [signal.SIGINT, signal.SIGTERM])
def test_make_kafka_stops_cleanly(new_broker: NewBroker, tmp_path: Path, sent: signal.Signals) -> None:
    unused = new_broker()
    with subprocess.Popen(
        [sys.executable, "-m", "benchmarks.kafka_broker", "--port", str(unused.port), "--data", str(tmp_path)],
        env=environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        cwd=ROOT,
        text=True,
    ) as program:
        assert program.stdout is not None
        line = program.stdout.readline()
        assert line == f"Kafka listens on {unused.bootstrap}; its records are kept in {tmp_path}. ctrl-C stops it.\n"
        assert AdminClient(unused.client).list_topics(timeout=HANG_S).brokers
        program.send_signal(sent)
        _, errors = program.communicate(timeout=HANG_S)
    assert (program.returncode, errors) == (0, "")


@pytest.mark.parametrize(
    ("java", "expected"),
    [
        (None, "kafka: a Kafka broker needs Java 17 or newer; there is no `java` on the path\n"),
        ("11.0.2", "kafka: a Kafka broker needs Java 17 or newer; the one on the path is 11\n"),
        ("21.0.1", "kafka: a Kafka broker needs Maven, once, to fetch its jars; there is no `mvn` on the path\n"),
    ],
)
def test_one_sentence_names_what_is_missing(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
    java: str | None,
    expected: str,
) -> None:
    if java is not None:
        program = tmp_path / "java"
        program.write_text(f"#!/bin/sh\necho 'openjdk version \"{java}\"' >&2\n")
        program.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("JAVA_HOME", raising=False)
    monkeypatch.setattr(kafka_jars, "_CACHE", tmp_path / ".kafka")
    monkeypatch.setattr(signal, "signal", lambda *_: None)
    assert main(["--fetch"]) == 1
    assert capsys.readouterr() == ("", expected)


def _lives(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    # An orphan that is not reaped is dead all the same.
    state = Path(f"/proc/{pid}/stat")
    return not state.exists() or state.read_text().rpartition(")")[2].split()[0] != "Z"
