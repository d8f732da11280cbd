"""The agent gets its own response or its own exception (I1), whatever broker, arguments or objects do."""

from __future__ import annotations

import asyncio
import logging
import threading
import warnings
from collections.abc import Awaitable, Callable, Iterator, Sequence
from typing import Any
from unittest.mock import MagicMock

import pytest

from aftercall import Client
from aftercall.testing import MemoryTransport
from aftercall.transports.transport import Message, Receipt
from harness.waiting import HANG_S


class Bad:
    """A transport with whatever behaviour a broker may have."""

    at_once = False
    destination = "bad"

    def __init__(self, behave: Callable[[], int]) -> None:
        self._behave = behave

    def open(self) -> None:
        pass

    def offer(self, messages: Sequence[tuple[int, Message]]) -> int:
        return self._behave()

    def receipts(self, wait_s: float) -> list[Receipt]:
        self._behave()
        return []

    def close(self, timeout_s: float) -> None:
        self._behave()

    def abandon(self) -> object:
        return None


def _raises() -> int:
    raise RuntimeError("502 Bad Gateway")


def _hangs() -> int:
    threading.Event().wait(HANG_S)
    return 0


class HostileError(Exception):
    """An exception that cannot be said."""

    def __str__(self) -> str:
        raise MemoryError


class Hostile:
    """A response every attribute of which raises, and which cannot be asked for anything."""

    def __getattribute__(self, name: str) -> Any:
        raise RuntimeError(f"{name}: keep away")

    def __len__(self) -> int:
        raise RuntimeError

    def __bool__(self) -> bool:
        raise RuntimeError

    def __eq__(self, other: object) -> bool:
        raise RuntimeError

    def __hash__(self) -> int:
        raise RuntimeError


@pytest.fixture(params=[_raises, _hangs, lambda: 10**9], ids=["raises", "hangs", "lies"])
def unlucky(request: pytest.FixtureRequest) -> Iterator[Client]:
    client = Client(transport=Bad(request.param), spool=None, flush_at_exit_s=0.1)
    yield client
    client.close(0.1)


def test_whatever_the_transport_does(unlucky: Client) -> None:
    response = object()
    answer = unlucky.track("support", model="large")(lambda: response)
    error = ValueError("its own")

    def failing() -> None:
        raise error

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for _ in range(200):
            assert answer() is response
            with pytest.raises(ValueError, match="its own") as caught:
                unlucky.track("support", model="large")(failing)()
            assert caught.value is error
            unlucky.outcome("c1", source="judge", success=True)
    assert unlucky.flush(0.05) is False
    assert unlucky.stats().balanced


WRONG: list[dict[str, Any]] = [
    {},
    {"model": None},
    {"model": 5},
    {"model": "m", "attrs": 5},
    {"model": "m", "attrs": {"a": object()}},
    {"model": "m", "attrs": {1: 2}},
    {"model": "m", "config": b"v7"},
    {"model": "m", "session_id": object()},
    {"model": "m", "call_id": ["x"]},
    {"model": "m", "rollout": "canary"},
    {"model": "m", "arm": 5},
    {"model": "m", "arm": Hostile},
    {"model": "m", "confg": "v7"},
    {"model": "x" * 10_000},
    {"model": "\ud800"},
]


@pytest.mark.parametrize("wrong", WRONG, ids=lambda wrong: str(list(wrong)))
def test_whatever_the_arguments_are(wrong: dict[str, Any], caplog: pytest.LogCaptureFixture) -> None:
    memory = MemoryTransport(at_once=False)
    client = Client(transport=memory, spool=None)
    wrong = {name: value() if value is Hostile else value for name, value in wrong.items()}
    answer = client.track("support", **wrong)(lambda: 7)
    with caplog.at_level(logging.DEBUG, "aftercall"):
        assert [answer() for _ in range(3)] == [7] * 3
        with client.track("support", **wrong) as call:
            nothing: Any = None
            call.set(attrs=nothing, tokens_in=nothing)
        client.flush(HANG_S)
    stats = client.stats()
    assert stats.balanced
    assert stats.emitted == stats.acknowledged + stats.dropped.get("invalid", 0)
    client.close()


@pytest.mark.parametrize("make", [lambda: 5, object, lambda: {"a": object()}, lambda: {1: 1}, Hostile])
def test_whatever_is_set_on_a_call(make: Callable[[], Any]) -> None:
    wrong = make()
    client = Client(transport=MemoryTransport(at_once=False), spool=None)
    with client.track("support", model="m") as call:
        call.set(attrs=wrong)
        call.set(model=wrong)
        call.set(colour=wrong)
        call.observe(wrong)
        with call.tool(wrong, error=wrong), call.attempt(model=wrong):
            pass
    client.outcome(wrong, source=wrong, success=wrong, score=wrong, attrs=wrong, outcome_id=wrong)
    client.retract(wrong, outcome_id=wrong)
    with client.session(wrong):
        pass
    client.flush(HANG_S)
    assert client.stats().balanced
    assert client.stats().dropped.get("invalid", 0) >= 1
    client.close()


@pytest.mark.parametrize("make", [Hostile, MagicMock, lambda: MagicMock, lambda: 3.5, lambda: [1], str])
def test_whatever_is_returned(make: Callable[[], Any]) -> None:
    response = make()
    memory = MemoryTransport(at_once=False)
    client = Client(transport=memory, spool=None)
    assert client.track("support", model="m")(lambda: response)() is response
    assert client.flush(HANG_S)
    (call,) = memory.calls
    assert not {"tokens_in", "tokens_out", "tokens", "cost_usd"} & call.keys()
    client.close()


@pytest.mark.parametrize(
    "wrong",
    [
        {"sample": "much"},
        {"kafka": 5},
        {"file": b"\xff", "spool": 3},
        {"settings": 7},
        {"spool": object},
    ],
    ids="+".join,
)
def test_a_client_with_wrong_arguments_is_off_and_says_why(
    wrong: dict[str, Any], caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING, "aftercall"):
        client = Client(**({"transport": MemoryTransport(at_once=False)} | wrong))
        assert client.track("support", model="m")(lambda: 7)() == 7
        client.outcome("c1", source="judge", success=True)
        client.close()
    if "kafka" not in wrong:  # with a transport it is not looked at
        assert "off, as the client cannot be made" in caplog.text


@pytest.mark.parametrize("sample", [7.0, -1.0, float("nan")])
def test_a_sample_that_is_no_share_keeps_all(sample: float, caplog: pytest.LogCaptureFixture) -> None:
    memory = MemoryTransport()
    with caplog.at_level(logging.WARNING, "aftercall"):
        client = Client(transport=memory, sample=sample)
    for _ in range(20):
        client.track("support", model="m")(int)()
    assert len(memory.calls) == 20
    assert "sample must be in (0, 1]" in caplog.text


def test_an_exception_that_cannot_be_said_is_raised_as_it_is() -> None:
    client = Client(transport=MemoryTransport(at_once=False), spool=None)
    error = HostileError()

    def answer() -> None:
        raise error

    with pytest.raises(HostileError) as caught:
        client.track("support", model="m")(answer)()
    assert caught.value is error
    client.close()


def test_what_is_wrong_is_logged_once_per_place_and_without_a_value(caplog: pytest.LogCaptureFixture) -> None:
    client = Client(transport=MemoryTransport(at_once=False), spool=None)
    with caplog.at_level(logging.WARNING, "aftercall"):
        for _ in range(5):
            client.outcome("c1", source="judge", score=float("nan"), reason="secret text")
            client.outcome("c1", source="call", success=True, reason="secret text")
        client.flush(HANG_S)
    assert client.stats().dropped == {"invalid": 10}
    lines = [record.getMessage() for record in caplog.records if "invalid" in record.getMessage()]
    assert len(lines) == 2
    assert all("test_nothing_reaches_the_agent.py:" in line and "secret" not in line for line in lines)
    client.close()


def test_a_heartbeat_beside_an_unreachable_broker_misses_no_beat() -> None:
    """What waits leaves the loop to others. A wait that blocks it would leave no beat, however slow the machine."""
    beats: list[int] = []

    async def heart() -> None:
        while True:
            beats.append(0)
            await asyncio.sleep(0.005)

    async def beats_during(waiting: Awaitable[object]) -> int:
        before = len(beats)
        await waiting
        return len(beats) - before

    async def work() -> None:
        beating = asyncio.create_task(heart())
        client = Client(transport=Bad(_hangs), spool=None, flush_at_exit_s=0.1)

        @client.track("support", model="m")
        async def answer() -> None:
            await asyncio.sleep(0)

        for _ in range(50):
            await answer()
        assert await beats_during(client.flush_async(1.0)) >= 10
        assert await beats_during(client.aclose(1.0)) >= 10
        beating.cancel()

    asyncio.run(work())
