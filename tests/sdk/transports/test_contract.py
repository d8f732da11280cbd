"""What every transport does: events arrive, each has one receipt, also when it is closed and opened again."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from aftercall.emitter import Emitter
from aftercall.testing import MemoryTransport
from aftercall.transports.file import FileTransport
from aftercall.transports.http import HttpTransport
from aftercall.transports.kafka import KafkaTransport
from aftercall.transports.transport import Message, Transport
from harness.emitting import call, closing, emit
from harness.endpoint import endpoint
from kafka.clusters import Cluster


class Place(NamedTuple):
    """A transport and what has arrived behind it, by topic."""

    transport: Transport
    arrived: Callable[[str], list[dict[str, Any]]]


def memory() -> Place:
    transport = MemoryTransport(at_once=False)
    return Place(transport, lambda kind: getattr(transport, kind))


def files(folder: Path) -> Place:
    def arrived(kind: str) -> list[dict[str, Any]]:
        lines = [line for path in sorted(folder.glob(f"{kind}*.jsonl")) for line in path.read_text().splitlines()]
        return [json.loads(line) for line in lines]

    return Place(FileTransport(folder / "deeper" / ".."), arrived)


def on(broker: Cluster) -> Place:
    topics = broker.fresh_topics(2, ["calls", "outcomes"])

    def arrived(kind: str) -> list[dict[str, Any]]:
        return [json.loads(record.value or b"") for record in broker.read_all(topics[kind])]

    return Place(KafkaTransport(broker.bootstrap, calls=topics["calls"], outcomes=topics["outcomes"]), arrived)


@pytest.fixture(params=["memory", "file", "http", "mock", pytest.param("real", marks=pytest.mark.kafka)])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Place]:
    match request.param:
        case "memory":
            yield memory()
        case "file":
            yield files(tmp_path)
        case "http":
            with endpoint() as server:
                yield Place(HttpTransport(server.url), server.arrived)
        case broker:
            yield on(request.getfixturevalue(f"{broker}_broker"))


def message(name: str, kind: str = "calls") -> Message:
    return Message(kind, name, json.dumps({"type": kind.removesuffix("s"), "id": name, "text": "Zoë\n"}).encode())  # type: ignore[arg-type]  # one of both


def receipts(transport: Transport, numbers: set[int]) -> dict[int, str]:
    """One for each number, within a minute."""
    answers: dict[int, str] = {}
    for _ in range(600):
        for receipt in transport.receipts(0.1):
            assert receipt.number not in answers
            answers[receipt.number] = receipt.answer
        if set(answers) == numbers:
            break
    return answers


def test_what_is_accepted_arrives_and_has_one_receipt(place: Place) -> None:
    transport, arrived = place
    transport.open()
    messages = [(number, message(str(number), "outcomes" if number % 3 else "calls")) for number in range(1, 31)]
    accepted = transport.offer(messages)
    assert 0 < accepted <= 30
    assert receipts(transport, set(range(1, accepted + 1))) == dict.fromkeys(range(1, accepted + 1), "acknowledged")
    found = arrived("calls") + arrived("outcomes")
    assert sorted(int(one["id"]) for one in found) == list(range(1, accepted + 1))
    assert {one["text"] for one in found} == {"Zoë\n"}
    assert all(int(one["id"]) % 3 == 0 for one in arrived("calls"))
    transport.close(5)


def test_no_receipt_is_there_before_or_twice(place: Place) -> None:
    transport, _ = place
    transport.open()
    assert transport.receipts(0.0) == []
    transport.offer([(1, message("a"))])
    assert receipts(transport, {1}) == {1: "acknowledged"}
    assert transport.receipts(0.01) == []
    transport.close(5)
    transport.close(5)


def test_it_can_be_opened_again_after_it_was_closed_or_abandoned(place: Place) -> None:
    transport, arrived = place
    transport.open()
    transport.offer([(1, message("a"))])
    receipts(transport, {1})
    transport.close(5)
    transport.open()
    transport.offer([(2, message("b"))])
    assert receipts(transport, {2}) == {2: "acknowledged"}
    assert sorted(one["id"] for one in arrived("calls")) == ["a", "b"]
    transport.close(5)
    transport.abandon()
    transport.open()
    transport.offer([(3, message("c"))])
    assert receipts(transport, {3}) == {3: "acknowledged"}
    transport.close(5)


def test_its_destination_is_known_before_it_is_opened_and_its_events_are_not_for_tests(place: Place) -> None:
    assert place.transport.destination
    assert place.transport.at_once is False


def test_behind_an_emitter_everything_arrives(place: Place, tmp_path: Path) -> None:
    with closing(Emitter(place.transport, spool=tmp_path / "spool")) as emitter:
        emit(emitter, *map(str, range(700)))
        assert emitter.flush(60)
        assert emitter.stats().acknowledged == 700
    assert sorted(int(one["call_id"]) for one in place.arrived("calls")) == list(range(700))
    assert {"type": "call", **call("0")} in place.arrived("calls")
