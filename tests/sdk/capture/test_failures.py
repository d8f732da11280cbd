"""Only a failure of the call is an error (I5): what is cancelled, left or ended is none."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from concurrent import futures

import pytest

from aftercall import Client
from aftercall.testing import MemoryTransport


def assert_cancelled(memory: MemoryTransport, count: int = 1) -> None:
    assert len(memory.calls) == count
    for call in memory.calls:
        assert call["attrs"]["cancelled"] is True
        assert "error" not in call


@pytest.mark.parametrize(
    "left", [KeyboardInterrupt(), SystemExit(3), GeneratorExit(), asyncio.CancelledError(), futures.CancelledError()]
)
def test_what_ends_a_call_from_outside_is_no_error(
    client: Client, memory: MemoryTransport, left: BaseException
) -> None:
    def answer() -> None:
        raise left

    with pytest.raises(type(left)) as caught:
        client.track("support", model="large")(answer)()
    assert caught.value is left
    with pytest.raises(type(left)), client.track("support", model="large"):
        raise left
    assert_cancelled(memory, 2)


def test_a_caller_that_does_not_wait_longer_has_cancelled(client: Client, memory: MemoryTransport) -> None:
    @client.track("support", model="large")
    async def answer() -> None:
        await asyncio.sleep(60)

    async def impatient() -> None:
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(answer(), 0.01)
        task = asyncio.create_task(answer())
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        async with asyncio.timeout(0.01):
            await answer()

    with pytest.raises(TimeoutError):
        asyncio.run(impatient())
    assert_cancelled(memory, 3)


def test_a_timeout_inside_the_call_is_its_error(client: Client, memory: MemoryTransport) -> None:
    @client.track("support", model="large")
    async def answer() -> None:
        async with asyncio.timeout(0.01):
            await asyncio.sleep(60)

    with pytest.raises(TimeoutError):
        asyncio.run(answer())
    assert memory.calls[0]["error"] == "TimeoutError"


def test_a_stream_that_is_left_early_is_cancelled(client: Client, memory: MemoryTransport) -> None:
    @client.track("sync", model="large")
    def words() -> Iterator[str]:
        yield from ["a", "b", "c"]

    @client.track("async", model="large")
    async def later() -> AsyncIterator[str]:
        for word in ("a", "b", "c"):
            yield word

    async def first() -> None:
        async for _ in later():
            break

    for _ in words():
        break
    assert_cancelled(memory, 1)
    asyncio.run(first())
    assert_cancelled(memory, 2)
    assert all(call["attrs"]["ttft_ms"] >= 0 for call in memory.calls)


def test_the_end_of_an_iterator_is_no_error(client: Client, memory: MemoryTransport) -> None:
    @client.track("support", model="large")
    def following() -> None:
        raise StopIteration("end")

    with pytest.raises(StopIteration, match="end"):
        following()
    (call,) = memory.calls
    assert "error" not in call
    assert "attrs" not in call or "cancelled" not in call["attrs"]


def test_an_error_is_at_most_eight_kibibytes_and_one_that_cannot_be_said_is_its_class(
    client: Client, memory: MemoryTransport
) -> None:
    class SilentError(Exception):
        def __str__(self) -> str:
            raise RuntimeError("cannot be said")

    def answer(error: Exception) -> None:
        raise error

    def quote(text: str) -> None:
        raise ValueError(f"{text} " * 1000)

    tracked = client.track("support", model="large")(answer)
    with pytest.raises(ValueError, match="x"):
        tracked(ValueError("x" * 100_000))
    with pytest.raises(SilentError):
        tracked(SilentError())
    with pytest.raises(ValueError, match="12345678"):
        client.track("support", model="large")(quote)("12345678")  # what replaces it is longer
    with pytest.raises(OSError, match="cannot be read"):
        tracked(OSError("caf\udce9.txt cannot be read"))
    errors = [call["error"] for call in memory.calls]
    assert [len(errors[0]), errors[1], len(errors[2])] == [8192, "SilentError", 8192]
    assert errors[3] == "OSError: caf?.txt cannot be read"
