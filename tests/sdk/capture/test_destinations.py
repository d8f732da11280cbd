"""A client sends to the broker, the endpoint or the folder that its arguments, or the environment, name."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from confluent_kafka import Consumer, Producer

from aftercall import Client
from harness.endpoint import endpoint
from harness.waiting import HANG_S, until

VARIABLES = ("AFTERCALL_DISABLED", "AFTERCALL_KAFKA", "AFTERCALL_URL", "AFTERCALL_FILE")


@pytest.fixture(autouse=True)
def _environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AFTERCALL_SPOOL", str(tmp_path / "spool"))


@pytest.fixture
def broker() -> Iterator[str]:
    """librdkafka's own broker, in memory."""
    producer = Producer({"bootstrap.servers": "unused", "test.mock.num.brokers": 1, "log_level": 0})
    found = producer.list_topics(timeout=HANG_S).brokers.values()
    yield ",".join(f"{one.host}:{one.port}" for one in found)
    producer.flush(0)


def emit(client: Client) -> None:
    with client.track("support", model="large", call_id="c1"):
        pass
    client.outcome("c1", source="judge", success=True, outcome_id="o1")
    assert client.flush(HANG_S)
    client.close()


def test_a_broker_gets_both_topics_keyed_by_call(broker: str) -> None:
    emit(Client(kafka=broker, settings={"client.id": "agent"}))
    consumer = Consumer(
        {"bootstrap.servers": broker, "group.id": "test", "auto.offset.reset": "earliest", "log_level": 0}
    )
    consumer.subscribe(["agent.calls", "agent.outcomes"])
    found: dict[str, tuple[bytes, str]] = {}

    def has_both() -> bool:
        message = consumer.poll(0.1)
        if message is not None and message.error() is None:
            found[message.topic() or ""] = (message.key() or b"", json.loads(message.value() or b"")["call_id"])
        return len(found) == 2

    until(has_both, lambda: found)
    consumer.close()
    assert found == {"agent.calls": (b"c1", "c1"), "agent.outcomes": (b"c1", "c1")}


def test_an_endpoint_gets_lines_with_the_headers_given() -> None:
    with endpoint() as there:
        emit(Client(url=there.url, settings={"X-Team": "support"}))
        assert [(line["type"], line["call_id"]) for line in there.lines] == [("call", "c1"), ("outcome", "c1")]
        assert {request.get("X-Team") for request in there.requests} == {"support"}


@pytest.mark.parametrize("variable", ["AFTERCALL_KAFKA", "AFTERCALL_URL", "AFTERCALL_FILE"])
def test_an_argument_wins_over_the_environment(variable: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(variable, "http://127.0.0.1:9/not-there")
    emit(Client(file=tmp_path / "events"))
    assert (tmp_path / "events" / "calls.jsonl").exists()


def test_the_environment_names_an_endpoint(monkeypatch: pytest.MonkeyPatch) -> None:
    with endpoint() as there:
        monkeypatch.setenv("AFTERCALL_URL", there.url)
        emit(Client())
        assert len(there.lines) == 2
