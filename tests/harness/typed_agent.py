"""An agent as users write theirs: it names all that is public, and type checkers see what each of it is.

`tests/sdk/test_typed.py` checks it by `mypy --strict`, where a mistake that is not found is an unused `type: ignore`.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Coroutine, Iterator
from typing import Any, assert_type

import aftercall
from aftercall import (
    Call,
    CallResult,
    CheckResult,
    Client,
    Guard,
    GuardedResult,
    GuardStats,
    Judgement,
    Stats,
    Verification,
)
from aftercall.routes import Arm, FileSource, KafkaSource, Route, SnapshotSource
from aftercall.testing import InvalidEventError, MemoryTransport

client = Client(
    kafka="localhost:9092",
    settings={"security.protocol": "SSL"},
    capture="usage",
    sample=0.5,
    release="2026.11",
    input_hash=False,
    cost=lambda call: 0.01 if call["model"] == "large" else None,
    recommendations=FileSource("out/recommendations.jsonl"),
    spool="/var/spool/aftercall",
    spool_bytes=1 << 28,
    queue_events=10_000,
    queue_bytes=1 << 24,
    on_full="block",
    block_s=1.0,
    durable=False,
    flush_at_exit_s=2.0,
)
others = [Client(url="https://collector.example"), Client(file="events"), Client(transport=MemoryTransport())]
sources = [KafkaSource("localhost:9092"), SnapshotSource("live")]


@client.track("support", model="large", config="prompt-v7", segment="long", attrs={"region": "eu", "beta": True})
def answer(question: str, *, tone: str = "kind") -> str:
    """Answer a question."""
    return question + tone


@client.track("support", model="large")
async def answer_later(question: str) -> int:
    return len(question)


@client.track("support", model="large")
def words(question: str) -> Iterator[str]:
    yield question


@client.track("support", model="large")
async def words_later(question: str) -> AsyncIterator[str]:
    yield question


@client.track("lookup", kind="tool")
def lookup(key: int) -> str:
    return str(key)


class Agent:
    @client.track("support", model="large")
    def answer(self, question: str) -> str:
        return question

    @classmethod
    @client.track("support", model="large")
    def make(cls, question: str) -> str:
        return question


@client.flushes
def handler(event: dict[str, Any]) -> str:
    return answer(event["question"])


def uses() -> None:
    assert_type(answer("where?", tone="short"), str)
    answer(5)  # type: ignore[arg-type]
    answer("where?", tune="short")  # type: ignore[call-arg]
    coroutine: Coroutine[Any, Any, int] = answer_later("where?")
    coroutine.close()
    assert_type(words("where?"), Iterator[str])
    assert_type(words_later("where?"), AsyncIterator[str])
    assert_type(Agent().answer("where?"), str)
    assert_type(Agent.make("where?"), str)
    assert_type(lookup(4), str)
    assert_type(handler({}), str)
    assert_type(client.bind(answer)("where?"), str)


def blocks() -> str:
    route = client.route("support", default=Arm("large", "prompt-v7"), segment="long", key="user-17", allowed=None)
    assert_type(route, Route)
    assert_type(client.ready(1.0), bool)
    with client.session("conv-17") as session_id, client.track(arm=route, call_id="mine") as call:
        assert_type(session_id, str)
        assert_type(call, Call)
        call.set(segment="short", attrs={"n": 1, "x": 1.5}, tokens_in=5, cost_usd=0.1, policy_version="p3")
        call.set(colour="red")  # type: ignore[arg-type]
        call.observe(object())
        with call.tool("search", items=3) as tool:
            tool.set(stale=True)
        with call.attempt(model="large-eu", config="prompt-v7"):
            pass
    client.track("support", modell="large")  # type: ignore[arg-type]
    client.track("support", model=5)  # type: ignore[arg-type]
    return client.current_call().call_id


async def later() -> None:
    async with client.session("conv-17"), client.track("support", model="large") as call:
        assert_type(call.call_id, str)
    result = await client.call("support", answer_later, "where?", model="large")
    assert_type(result, CallResult[int])
    await client.flush_async(1.0)
    await client.aclose(1.0)


def outcomes() -> None:
    result = client.call("support", answer, "where?", model="large", tone="short")
    assert_type(result.response, str)
    assert_type(client.outcome(result.call_id, source="user_feedback", success=False, reason="wrong city"), str)
    client.outcome(session_id="conv-17", scope="all", source="judge", score=0.4, author="j1", scorer="judge@v3")
    client.outcome("c1", source="judge", succes=True)  # type: ignore[arg-type]
    client.outcome("c1", source="judge", success="yes")  # type: ignore[arg-type]
    client.retract("c1", source="user_feedback", author="u1")
    client.retract("c1", outcome_id="o1", reason="by mistake")
    assert_type(client.flush(timeout=2.0), bool)
    assert_type(client.stats(), Stats)
    assert_type(client.stats().balanced, bool)
    client.close(timeout=2.0)


def alarm(judgement: Judgement) -> None:
    assert_type(judgement.violations, tuple[CheckResult, ...])
    assert_type(judgement.passed, bool | None)


guard = aftercall.guard(
    ["contracts/refund.toml", "contracts"],
    client,
    task_type="refund",
    model="large",
    config="v7",
    on_violation=alarm,
    queue_calls=100,
    queue_bytes=1 << 20,
)


@client.track("refund", model="large", guard=guard)
def guarded(question: str) -> str:
    return question


def checks() -> None:
    assert_type(guard, Guard)
    result = guard.call("where?", answer, tone="short", model="small", call_id="mine")
    assert_type(result, GuardedResult[str])
    assert_type(result.verification, Verification)
    assert_type(result.verification.done(), bool)
    assert_type(result.verification.result(timeout=1.0), Judgement)
    assert_type(result.verification.passed, bool | None)
    assert_type(result.verification.reason, str | None)
    assert_type(result.verification.checks[0].details, str)
    assert_type(result.verification.violations[0].passed, bool | None)
    assert_type(client.call("refund", answer, "where?", guard=guard).verification, Verification | None)
    with client.track("refund", model="large", guard=guard) as call:
        assert_type(call.verification, Verification | None)
    assert_type(guarded("where?"), str)
    assert_type(guard.flush(timeout=2.0), bool)
    assert_type(guard.stats(), GuardStats)
    assert_type(guard.stats().balanced, bool)
    guard.close(timeout=2.0)
    guard.call(5, answer)  # type: ignore[arg-type]
    aftercall.guard("contracts", client, on_violation=5)  # type: ignore[arg-type]


async def checks_later() -> None:
    result = await guard.acall("where?", answer_later)
    assert_type(result, GuardedResult[int])
    assert_type(await result.verification, Judgement)
    stream = await guard.acall("where?", words_later)
    assert_type(stream.response, AsyncIterator[str])


def records() -> None:
    """The wire format, by name."""
    assert_type(aftercall.AgentCall.model_validate({}).model, str)
    aftercall.Outcome(outcome_id="o1", call_id="c1", occurred_at="2026-03-01T12:00:00Z", source="judge", success=True)
    aftercall.Clinet()  # type: ignore[attr-defined]
    asyncio.run(later())
    raise InvalidEventError("here", "wrong")
