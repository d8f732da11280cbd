"""One model call is one event, however many layers report it (I4)."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from aftercall import AgentCall, Client
from aftercall.testing import MemoryTransport
from harness.providers import CHAT


def test_a_function_that_is_tracked_twice_is_one_call(client: Client, memory: MemoryTransport) -> None:
    @client.track("outer", model="large")
    @client.track("inner", model="small")
    def answer() -> int:
        return 1

    assert answer() == 1
    assert client.call("called", answer, model="x").response == 1
    assert [call["task_type"] for call in memory.calls] == ["outer", "called"]


def test_a_decorator_between_two_is_not_lost(client: Client, memory: MemoryTransport) -> None:
    tries = []

    def thrice(function: Callable[[], int]) -> Callable[[], int]:
        @functools.wraps(function)
        def run() -> int:
            for _ in range(2):
                try:
                    return function()
                except ConnectionError:
                    tries.append(1)
            return function()

        return run

    @client.track("outer", model="large")
    @thrice
    @client.track("inner", model="small")
    def answer() -> int:
        if len(tries) < 2:
            raise ConnectionError
        return 1

    assert answer() == 1
    assert [call["task_type"] for call in memory.calls] == ["inner", "inner", "inner", "outer"]
    assert {call.get("parent_call_id") for call in memory.calls[:3]} == {memory.calls[3]["call_id"]}


@pytest.mark.parametrize("again", [lambda body: body, dict], ids=["the same object", "a copy"])
def test_a_response_that_is_reported_twice_counts_once(
    client: Client, memory: MemoryTransport, again: Callable[[Any], Any]
) -> None:
    response = CHAT | {"_hidden_params": {"response_cost": 0.01}}

    @client.track("support", model="large")
    def answer() -> Any:
        client.current_call().observe(response)
        client.current_call().observe(response)
        return again(response)

    answer()
    assert (memory.calls[0]["tokens_in"], memory.calls[0]["cost_usd"]) == (5, 0.01)


def test_responses_of_an_agents_loop_are_added_up(client: Client, memory: MemoryTransport) -> None:
    with client.track("support", model="large") as call:
        for number in range(3):
            call.observe(CHAT | {"id": f"chatcmpl-{number}"})
        call.observe({"usage": {"prompt_tokens": 1, "completion_tokens": 1}})
    assert (memory.calls[0]["tokens_in"], memory.calls[0]["tokens_out"]) == (16, 7)


def test_a_call_ends_once(client: Client, memory: MemoryTransport) -> None:
    @client.track("support", model="large")
    def words() -> Iterator[str]:
        yield "a"

    stream: Any = client.track("returned", model="large")(lambda: iter("ab"))()
    assert list(stream) == ["a", "b"]
    assert list(stream) == []
    del stream
    generator = words()
    assert list(generator) == ["a"]
    generator.close()  # type: ignore[attr-defined]
    assert [call["task_type"] for call in memory.calls] == ["returned", "support"]


def test_ids_are_fixed_when_the_event_is_made(client: Client, memory: MemoryTransport) -> None:
    with client.track("support", model="large") as call:
        first = call.call_id
    assert first == call.call_id == memory.calls[0]["call_id"]
    event = {name: value for name, value in memory.calls[0].items() if name != "type"}
    assert AgentCall.model_validate(event).call_id == first
    assert len({client.outcome(first, source="judge", success=True) for _ in range(50)}) == 50
