"""A tracked function gives what it gave and raises what it raised, is what it was, and each call of it is one event."""

from __future__ import annotations

import asyncio
import functools
import gc
import inspect
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from aftercall import Client
from aftercall.testing import MemoryTransport


class AgentError(RuntimeError):
    """An exception of the user's."""


class Response:
    """An object of the user's."""


def test_a_call_of_a_function_is_one_event(client: Client, memory: MemoryTransport) -> None:
    response = Response()

    @client.track("support", model="large", config="prompt-v7", segment="long", attrs={"region": "eu"})
    def answer(question: str) -> Response:
        return response

    assert answer("where?") is response
    (call,) = memory.calls
    assert call["task_type"] == "support"
    assert (call["model"], call["config"], call["segment"]) == ("large", "prompt-v7", "long")
    assert call["attrs"]["region"] == "eu"
    assert 0 <= call["latency_ms"] < 60_000
    assert "error" not in call


def test_of_a_coroutine_function_the_whole_run_is_measured(client: Client, memory: MemoryTransport) -> None:
    @client.track("support", model="large")
    async def answer() -> str:
        await asyncio.sleep(0.02)
        assert memory.calls == []
        return "yes"

    assert asyncio.run(answer()) == "yes"
    (call,) = memory.calls
    assert call["latency_ms"] >= 19


def test_its_own_exception_is_raised_and_becomes_the_error(client: Client, memory: MemoryTransport) -> None:
    raised = AgentError("no room")

    @client.track("support", model="large")
    def answer() -> None:
        raise raised

    with pytest.raises(AgentError) as caught:
        answer()
    assert caught.value is raised
    assert caught.value.__cause__ is caught.value.__context__ is None
    (call,) = memory.calls
    assert call["error"] == "AgentError: no room"


def test_a_coroutine_that_a_plain_function_returns_is_measured_to_its_end(
    client: Client, memory: MemoryTransport
) -> None:
    async def ask(fails: object) -> str:
        assert client.current_call().call_id
        await asyncio.sleep(0.01)
        if fails:
            raise AgentError("late")
        return "yes"

    answer = client.track("support", model="large")(lambda fails: ask(fails))  # noqa: PLW0108  # a plain function
    coroutine = answer(False)
    assert asyncio.iscoroutine(coroutine)
    assert inspect.iscoroutine(coroutine)
    assert memory.calls == []
    assert asyncio.run(coroutine) == "yes"

    async def in_a_task() -> None:
        await asyncio.create_task(answer(True))

    with pytest.raises(AgentError, match="late"):
        asyncio.run(in_a_task())
    assert [call.get("error") for call in memory.calls] == [None, "AgentError: late"]
    assert all(call["latency_ms"] >= 9 for call in memory.calls)


def test_a_future_that_is_returned_is_the_callers_own(client: Client, memory: MemoryTransport) -> None:
    with ThreadPoolExecutor(1) as pool:
        future = pool.submit(lambda: "yes")
        assert client.track("support", model="large")(lambda: future)() is future
        assert future.result() == "yes"
    assert len(memory.calls) == 1


def test_a_task_that_is_returned_is_reported_by_asyncio_as_ever(client: Client, memory: MemoryTransport) -> None:
    async def failing() -> None:
        raise AgentError("in a task")

    async def run() -> None:
        asyncio.get_running_loop().set_exception_handler(lambda _, context: reported.append(context["exception"]))
        start = client.track("support", model="large")(lambda: asyncio.ensure_future(failing()))
        task = start()
        assert isinstance(task, asyncio.Task)
        while not task.done():  # noqa: ASYNC110  # to wait for it would retrieve its exception
            await asyncio.sleep(0)
        await asyncio.sleep(0)
        del task
        gc.collect()

    reported: list[BaseException] = []
    asyncio.run(run())
    assert [str(error) for error in reported] == ["in a task"]
    assert memory.calls[0]["error"] == "AgentError: in a task"


def agent_class(client: Client) -> type[Any]:
    class Tracked:
        name = "tracked"

        @client.track("method", model="m")
        def method(self, value: int, *, doubled: bool = False) -> int:
            """The method's own text."""
            return value * (2 if doubled else 1)

        @classmethod
        @client.track("inner class method", model="m")
        def inner_class(cls, value: int) -> tuple[str, int]:
            return cls.name, value

        @client.track("outer class method", model="m")
        @classmethod
        def outer_class(cls, value: int) -> tuple[str, int]:
            return cls.name, value

        @staticmethod
        @client.track("inner static method", model="m")
        def inner_static(value: int) -> int:
            return value

        @client.track("outer static method", model="m")
        @staticmethod
        def outer_static(value: int) -> int:
            return value

        @client.track("async method", model="m")
        async def later(self, value: int) -> int:
            return value

    return Tracked


def test_methods_of_every_kind_work(client: Client, memory: MemoryTransport) -> None:
    cls = agent_class(client)
    agent = cls()
    assert agent.method(2, doubled=True) == 4
    assert agent.inner_class(1) == cls.outer_class(1) == ("tracked", 1)
    assert agent.inner_static(3) == cls.outer_static(3) == 3
    assert asyncio.run(agent.later(5)) == 5
    assert [call["task_type"] for call in memory.calls] == [
        "method",
        "inner class method",
        "outer class method",
        "inner static method",
        "outer static method",
        "async method",
    ]


def test_a_partial_and_an_object_that_is_called_work(client: Client, memory: MemoryTransport) -> None:
    async def later(value: int) -> int:
        return value

    class Called:
        def __call__(self, value: int) -> int:
            return value

    track = client.track("support", model="m")
    assert track(functools.partial(lambda a, b: a + b, 1))(2) == 3
    assert asyncio.run(track(functools.partial(later, 4))()) == 4
    assert track(Called())(5) == 5
    assert len(memory.calls) == 3


def plain(first: int, *others: int, named: str = "x") -> int:
    """What it does."""
    return first


async def coroutine(first: int) -> int:
    return first


def generator(first: int) -> Iterator[int]:
    yield first


async def async_generator(first: int) -> AsyncIterator[int]:
    yield first


@pytest.mark.parametrize("function", [plain, coroutine, generator, async_generator])
def test_it_stays_what_it_was_to_inspect(client: Client, function: Callable[..., Any]) -> None:
    tracked = client.track("support", model="m")(function)
    for question in (inspect.iscoroutinefunction, inspect.isgeneratorfunction, inspect.isasyncgenfunction):
        assert question(tracked) == question(function), question
    assert asyncio.iscoroutinefunction(tracked) == asyncio.iscoroutinefunction(function)
    assert inspect.signature(tracked) == inspect.signature(function)
    assert (tracked.__name__, tracked.__doc__) == (function.__name__, function.__doc__)
    assert tracked.__module__ == function.__module__


def test_call_gives_response_and_id(client: Client, memory: MemoryTransport) -> None:
    response = Response()
    result = client.call("support", lambda question, tone: response, "where?", model="large", tone="kind")
    assert result.response is response
    assert result.verification is None
    assert memory.calls[0]["call_id"] == result.call_id

    async def later(value: int) -> int:
        return value

    awaited = asyncio.run(client.call("support", later, 7, model="large", call_id="mine"))
    assert (awaited.response, awaited.call_id) == (7, "mine")
    assert memory.calls[1]["call_id"] == "mine"
    with pytest.raises(AgentError):
        client.call("support", _fails, model="large")
    assert memory.calls[2]["error"] == "AgentError: here"


def _fails() -> None:
    raise AgentError("here")
