"""Streams are measured to their end, and stay what they are to those who read them."""

from __future__ import annotations

import asyncio
import collections.abc
import contextvars
import gc
import inspect
import types
from collections.abc import AsyncGenerator, AsyncIterator, Generator, Iterator
from time import sleep
from typing import Any, Self

import pytest

from aftercall import Client
from aftercall.testing import MemoryTransport


class Stream:
    """As providers' libraries have theirs: an iterator whose `__iter__` is a generator, and a context manager."""

    def __init__(self, chunks: list[Any]) -> None:
        self._iterator = iter(chunks)
        self.closed = False
        self.response = "headers"

    def __next__(self) -> Any:
        return next(self._iterator)

    def __iter__(self) -> Iterator[Any]:
        yield from self._iterator

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        self.closed = True


class AsyncStream:
    """The same, async."""

    def __init__(self, chunks: list[Any]) -> None:
        self._chunks = chunks

    async def __anext__(self) -> Any:
        raise NotImplementedError

    async def __aiter__(self) -> AsyncIterator[Any]:
        for chunk in self._chunks:
            await asyncio.sleep(0)
            yield chunk

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def close(self) -> None:
        self._chunks = []


def returned(client: Client, stream: Any) -> Any:
    return client.track("support", model="large")(lambda: stream)()


def test_a_returned_stream_is_measured_to_its_last_chunk(client: Client, memory: MemoryTransport) -> None:
    def chunks() -> Iterator[int]:
        for number in range(3):
            sleep(0.01)
            yield number

    stream = returned(client, chunks())
    assert memory.calls == []
    assert next(stream) == 0
    assert memory.calls == []
    sleep(0.02)
    assert list(stream) == [1, 2]
    (call,) = memory.calls
    assert call["latency_ms"] >= 49
    assert 9 <= call["attrs"]["ttft_ms"] <= call["latency_ms"] - 39
    assert "cancelled" not in call["attrs"]


def test_it_stays_the_same_type(client: Client) -> None:
    stream = Stream([1, 2])
    proxy = returned(client, stream)
    assert isinstance(proxy, Stream)
    assert not isinstance(proxy, collections.abc.AsyncIterable)
    assert proxy.response == "headers"
    proxy.response = "changed"
    assert stream.response == "changed"
    with proxy as entered:
        assert isinstance(entered, Stream)
        assert list(entered) == [1, 2]
    assert stream.closed

    async_proxy = returned(client, AsyncStream([1]))
    assert isinstance(async_proxy, AsyncStream)
    assert isinstance(async_proxy, collections.abc.AsyncIterator)
    assert not isinstance(async_proxy, collections.abc.Iterable)

    def numbers() -> Iterator[int]:
        yield 1

    generator = returned(client, numbers())
    assert inspect.isgenerator(generator)
    assert isinstance(generator, types.GeneratorType)
    assert isinstance(generator, collections.abc.Generator)


@pytest.mark.parametrize("value", [[1], (1,), {"a": 1}, {1}, "text", b"bytes", range(3)], ids=repr)
def test_what_can_be_read_twice_is_no_stream(client: Client, memory: MemoryTransport, value: object) -> None:
    assert returned(client, value) is value
    assert len(memory.calls) == 1


def test_an_open_file_is_no_stream(client: Client, memory: MemoryTransport, tmp_path: Any) -> None:
    with (tmp_path / "file").open("w") as file:
        assert returned(client, file) is file
    assert len(memory.calls) == 1


def test_a_stream_that_is_left_or_never_read_is_cancelled(client: Client, memory: MemoryTransport) -> None:
    for chunk in returned(client, Stream([1, 2])):
        assert chunk == 1
        break
    returned(client, Stream([1]))
    closed = returned(client, Stream([1]))
    closed.close()
    with returned(client, Stream([1])):
        pass
    gc.collect()
    assert [call["attrs"].get("cancelled") for call in memory.calls] == [True] * 4


def test_reading_may_go_on_in_another_loop(client: Client, memory: MemoryTransport) -> None:
    stream = returned(client, Stream([1, 2, 3]))
    for _ in stream:
        break
    assert memory.calls == []
    assert list(stream) == [2, 3]
    assert len(memory.calls) == 1
    assert "cancelled" not in memory.calls[0].get("attrs", {})


def test_a_stream_that_fails_is_an_error(client: Client, memory: MemoryTransport) -> None:
    def broken() -> Iterator[int]:
        yield 1
        raise ConnectionResetError("peer")

    with pytest.raises(ConnectionResetError, match="peer"):
        list(returned(client, broken()))
    assert memory.calls[0]["error"] == "ConnectionResetError: peer"


def test_an_async_stream_is_read_to_its_end(client: Client, memory: MemoryTransport) -> None:
    async def ask() -> AsyncStream:
        return AsyncStream(["a", "b"])

    @client.track("decorated", model="large")
    async def decorated() -> AsyncStream:
        return await ask()

    async def read() -> None:
        for stream in (await decorated(), await client.track("lambda", model="large")(lambda: ask())()):  # noqa: PLW0108
            assert isinstance(stream, AsyncStream)
            async with stream:
                assert [chunk async for chunk in stream] == ["a", "b"]
        async for _ in returned(client, AsyncStream([1, 2])):
            break
        await returned(client, AsyncStream([1])).close()

    asyncio.run(read())
    assert [call["attrs"].get("cancelled", False) for call in memory.calls] == [False, False, True, True]


def test_what_is_sent_and_thrown_into_a_generator_reaches_it(client: Client, memory: MemoryTransport) -> None:
    @client.track("support", model="large")
    def echo() -> Generator[str, str, str]:
        heard = yield "ready"
        try:
            heard = yield heard
        except KeyError:
            heard = yield "caught"
        return heard

    generator = echo()
    assert next(generator) == "ready"
    assert generator.send("a") == "a"
    assert generator.throw(KeyError("x")) == "caught"
    with pytest.raises(StopIteration) as end:
        generator.send("last")
    assert end.value.value == "last"
    assert len(memory.calls) == 1
    assert "error" not in memory.calls[0]


def test_what_is_sent_and_thrown_into_an_async_generator_reaches_it(client: Client, memory: MemoryTransport) -> None:
    @client.track("support", model="large")
    async def echo() -> Any:
        heard = yield "ready"
        try:
            yield heard
        except KeyError:
            yield "caught"

    async def run() -> None:
        generator = echo()
        assert await anext(generator) == "ready"
        assert await generator.asend("a") == "a"
        assert await generator.athrow(KeyError("x")) == "caught"
        with pytest.raises(StopAsyncIteration):
            await anext(generator)

    asyncio.run(run())
    assert len(memory.calls) == 1
    assert "error" not in memory.calls[0]


def test_what_its_reader_throws_is_no_failure_of_the_call(client: Client, memory: MemoryTransport) -> None:
    @client.track("sync", model="large")
    def words() -> Generator[str, None, None]:
        yield "a"

    @client.track("async", model="large")
    async def later() -> AsyncGenerator[str, None]:
        yield "a"

    async def run() -> None:
        generator = later()
        await anext(generator)
        with pytest.raises(KeyError):
            await generator.athrow(KeyError("mine"))

    generator = words()
    next(generator)
    with pytest.raises(KeyError):
        generator.throw(KeyError("mine"))
    asyncio.run(run())
    assert [(call.get("error"), call["attrs"]["cancelled"]) for call in memory.calls] == [(None, True)] * 2


def test_the_current_call_is_set_only_while_the_body_runs(client: Client, memory: MemoryTransport) -> None:
    """A generator that sets the variable around `yield` sets it for its reader."""

    @client.track("child", model="m")
    def child() -> None: ...

    @client.track("sync", model="m")
    def words() -> Iterator[str]:
        child()
        yield client.current_call().call_id
        child()

    @client.track("async", model="m")
    async def later() -> AsyncIterator[str]:
        yield client.current_call().call_id
        child()

    outside = contextvars.copy_context()
    generator = words()
    inside = next(generator)
    assert contextvars.copy_context() == outside
    child()
    list(generator)

    async def read() -> None:
        async for inner in later():
            assert client.current_call().call_id != inner
            assert contextvars.copy_context() == outside
        memory.calls.pop()
        memory.calls.pop()
        stream = later()
        # Each step by another task: a plain reset would raise `ValueError`.
        first: str = await asyncio.create_task(anext(stream))  # type: ignore[arg-type]
        assert contextvars.copy_context() == outside
        child()
        with pytest.raises(StopAsyncIteration):
            await asyncio.create_task(anext(stream))  # type: ignore[arg-type]
        parents.append(first)

    parents: list[str] = []
    contextvars.copy_context().run(asyncio.run, read())
    children = [call.get("parent_call_id") for call in memory.calls if call["task_type"] == "child"]
    assert children == [inside, None, inside, None, parents[0]]
