"""A block of code is a call; calls nest, across tasks and threads as far as the language allows, and sessions hold."""

from __future__ import annotations

import asyncio
import contextvars
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from aftercall import Client
from aftercall.testing import MemoryTransport
from harness.waiting import HANG_S


def by_task(memory: MemoryTransport) -> dict[str, dict[str, Any]]:
    return {call["task_type"]: call for call in memory.calls}


def test_a_block_is_a_call_whose_id_is_there_at_once(client: Client, memory: MemoryTransport) -> None:
    with client.track("support", model="large", call_id="mine") as call:
        assert call.call_id == "mine"
        assert client.current_call().call_id == "mine"
        call.set(segment="long", attrs={"a": 1})
        call.set(attrs={"b": True}, config="v8")
    assert client.current_call().call_id != "mine"
    (event,) = memory.calls
    assert (event["call_id"], event["segment"], event["config"]) == ("mine", "long", "v8")
    assert event["attrs"] == {"a": 1, "b": True}


def test_after_its_end_nothing_changes_a_call() -> None:
    memory = MemoryTransport(at_once=False)
    client = Client(transport=memory, spool=None)
    for _ in range(20):
        with client.track("support", model="large") as call:
            pass
        call.set(model="belated", attrs={"belated": True})
        call.observe({"usage": {"prompt_tokens": 1}})
        with call.tool("belated"), call.attempt(model="belated"):
            pass
    client.flush(HANG_S)
    client.close()
    assert "belated" not in str(memory.calls)
    assert "tokens_in" not in str(memory.calls)


def test_an_exception_in_a_block_is_the_calls_error_and_goes_on(client: Client, memory: MemoryTransport) -> None:
    with pytest.raises(KeyError), client.track("support", model="large"):
        raise KeyError("order")
    assert memory.calls[0]["error"] == "KeyError: 'order'"


def test_an_async_block_is_a_call(client: Client, memory: MemoryTransport) -> None:
    async def run() -> None:
        async with client.track("support", model="large") as call, client.session("conv-1"):
            call.set(segment="short")
            async with client.track("inner", model="small"):
                await asyncio.sleep(0)

    asyncio.run(run())
    assert by_task(memory)["support"]["segment"] == "short"
    assert by_task(memory)["inner"]["session_id"] == "conv-1"


def test_calls_within_a_call_name_it_and_share_its_session(client: Client, memory: MemoryTransport) -> None:
    @client.track("child", model="small")
    async def child() -> None:
        await asyncio.sleep(0.001)

    @client.track("parent", model="large")
    async def parent() -> None:
        await asyncio.gather(*(child() for _ in range(3)))

    async def conversations() -> None:
        async def one(session: str) -> None:
            with client.session(session):
                await parent()

        await asyncio.gather(*(one(f"s{i}") for i in range(20)))

    asyncio.run(conversations())
    parents = {call["call_id"]: call for call in memory.calls if call["task_type"] == "parent"}
    children = [call for call in memory.calls if call["task_type"] == "child"]
    assert (len(parents), len(children)) == (20, 60)
    assert {call["session_id"] for call in parents.values()} == {f"s{i}" for i in range(20)}
    assert all(child["session_id"] == parents[child["parent_call_id"]]["session_id"] for child in children)
    assert not any("parent_call_id" in call for call in parents.values())


def test_the_session_entered_last_counts(client: Client, memory: MemoryTransport) -> None:
    with client.session("outer"):
        with client.track("declared", model="m", session_id="own"):
            with client.track("inherits", model="m"):
                pass
            with client.session("inner"), client.track("enters", model="m"):
                pass
        with client.track("after", model="m"):
            pass
    with client.track("outside", model="m"):
        pass
    sessions = {task: call.get("session_id") for task, call in by_task(memory).items()}
    assert sessions == {"declared": "own", "inherits": "own", "enters": "inner", "after": "outer", "outside": None}


def test_bind_carries_the_call_into_threads_that_would_lose_it(client: Client, memory: MemoryTransport) -> None:
    def child(task: str) -> None:
        with client.track(task, model="m"):
            barrier.wait(30)

    barrier = threading.Barrier(3)
    with client.session("conv"), client.track("parent", model="m") as parent:
        thread = threading.Thread(target=child, args=("lost",))
        thread.start()
        bound = client.bind(child)
        with ThreadPoolExecutor(2) as pool:  # the same function, twice at once
            list(pool.map(bound, ["bound", "bound too"]))
        thread.join()
    calls = by_task(memory)
    assert calls["lost"].get("parent_call_id") is None
    for task in ("bound", "bound too"):
        assert (calls[task]["parent_call_id"], calls[task]["session_id"]) == (parent.call_id, "conv")

    async def to_thread() -> None:
        async with client.track("task", model="m"):
            await asyncio.to_thread(client.track("in thread", model="m")(int))

    asyncio.run(to_thread())
    assert by_task(memory)["in thread"]["parent_call_id"] == by_task(memory)["task"]["call_id"]


def test_bind_carries_the_call_into_a_coroutine(client: Client, memory: MemoryTransport) -> None:
    async def child() -> str:
        await asyncio.sleep(0)
        return client.current_call().call_id

    with client.track("parent", model="m") as parent:
        bound = client.bind(child)
    assert asyncio.iscoroutinefunction(bound)
    assert asyncio.run(bound()) == parent.call_id


def test_one_tracker_may_be_open_many_times_at_once(client: Client, memory: MemoryTransport) -> None:
    tracker = client.track("support", model="m")
    inside = []
    with tracker as outer, tracker as inner:
        assert outer.call_id != inner.call_id
        inside += [outer.call_id, inner.call_id]

    failing = []

    async def one(number: int) -> None:
        async with tracker as call:
            inside.append(call.call_id)
            await asyncio.sleep(0.001 * (number % 5))
            assert client.current_call().call_id == call.call_id
            if number % 2:
                failing.append(call.call_id)
                raise ValueError(str(number))

    async def many() -> None:
        await asyncio.gather(*(one(number) for number in range(20)), return_exceptions=True)

    asyncio.run(many())
    assert sorted(call["call_id"] for call in memory.calls if "error" in call) == sorted(failing)
    assert sorted(call["call_id"] for call in memory.calls) == sorted(inside)
    assert {call["parent_call_id"] for call in memory.calls if "parent_call_id" in call} == {inside[0]}


def test_a_block_that_is_left_in_another_context_ends_its_own_call(client: Client, memory: MemoryTransport) -> None:
    """As of fixtures and dependencies with `yield`, of which a framework runs each half where it likes."""
    tracker = client.track("support", model="m")
    call = contextvars.Context().run(tracker.__enter__)
    contextvars.Context().run(tracker.__exit__, None, None, None)
    assert [event["call_id"] for event in memory.calls] == [call.call_id]


def test_tools_and_attempts_are_parts_of_their_call(client: Client, memory: MemoryTransport) -> None:
    @client.track("lookup", kind="tool")
    def lookup(key: str) -> str:
        return key

    @client.track("search", kind="tool")
    async def search() -> None:
        raise TimeoutError("no answer")

    with client.track("support", model="large", config="v7") as call:
        lookup("a")
        with pytest.raises(TimeoutError):
            asyncio.run(client.bind(search)())
        with call.tool("fetch", items=3) as tool:
            tool.set(stale=True)
        with pytest.raises(ConnectionError), call.attempt(model="large-eu"):
            raise ConnectionError("down")
        with call.attempt(model="large-us", config="v7-us"):
            pass
    (event,) = memory.calls
    tools = [{name: value for name, value in tool.items() if name != "latency_ms"} for tool in event["tool_calls"]]
    assert tools == [
        {"name": "lookup", "ok": True},
        {"name": "search", "ok": False, "error": "TimeoutError: no answer"},
        {"name": "fetch", "items": 3, "stale": True, "ok": True},
    ]
    assert all(tool["latency_ms"] >= 0 for tool in event["tool_calls"])
    failed, worked = event["attempts"]
    assert (failed["model"], failed["error"]) == ("large-eu", "ConnectionError: down")
    assert "error" not in worked
    assert (event["model"], event["config"]) == ("large-us", "v7-us")  # who answered
    assert "error" not in event
    assert lookup("outside any call") == "outside any call"
    assert len(memory.calls) == 1


def test_a_draw_is_not_that_of_a_model_which_stood_in(client: Client, memory: MemoryTransport) -> None:
    class Route:
        model, config, task_type, segment = "large", "v7", "support", None
        recommendation_id, propensity = "r1", 0.9

    route: Any = Route()
    with client.track(arm=route):
        pass
    with client.track(arm=route) as call:
        with pytest.raises(ConnectionError), call.attempt(model="large"):
            raise ConnectionError("down")
        with call.attempt(model="small"):
            pass
    drawn, stood_in = memory.calls
    assert (drawn["task_type"], drawn["model"], drawn["config"]) == ("support", "large", "v7")
    assert (drawn["recommendation_id"], drawn["propensity"]) == ("r1", 0.9)
    assert (stood_in["model"], stood_in["recommendation_id"]) == ("small", "r1")
    assert "propensity" not in stood_in
