"""The agent gets its own response or its own exception (I1), and waits for nothing, whatever contracts and rules do."""

from __future__ import annotations

import asyncio
import logging
import warnings
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any
from unittest.mock import MagicMock

import pytest

from aftercall import Client
from aftercall.guarding import worker
from aftercall.testing import MemoryTransport
from harness import guarding as rules
from harness.guarding import POLITE, SHORT, SLOW, code, guarding, sent, written
from harness.waiting import HANG_S


class Hostile:
    """A response every attribute of which raises."""

    def __getattribute__(self, name: str) -> Any:
        raise RuntimeError(f"{name}: keep away")

    def __bool__(self) -> bool:
        raise RuntimeError


EVERYTHING: list[dict[str, Any]] = [
    SHORT,
    POLITE,
    SLOW,
    {"id": "json", "type": "format", "as": "json"},
    {"id": "data", "type": "restricted_data"},
    {"id": "tools", "type": "required_tools", "tools": ["search"]},
    code("raises"),
    code("exits"),
]


@pytest.mark.parametrize(
    "make", [object, Hostile, MagicMock, lambda: MagicMock, lambda: 3.5, lambda: "\ud800(" * 1000, lambda: {"a": {1}}]
)
def test_whatever_a_guarded_agent_returns(make: Callable[[], Any], tmp_path: Path) -> None:
    response = make()
    with guarding(written(tmp_path, *EVERYTHING)) as guard, warnings.catch_warnings():
        warnings.simplefilter("error")
        result = guard.call("x", lambda text: response)
        assert result.response is response
        found = result.verification.result(HANG_S)
        assert len(found.checks) == len(EVERYTHING)
        assert guard.stats().balanced


def test_what_the_agent_raises_is_raised_and_judged(tmp_path: Path) -> None:
    error = ValueError("its own")

    def failing(text: str) -> None:
        raise error

    async def failing_later(text: str) -> None:
        raise error

    def failing_amid(text: str) -> Iterator[str]:
        yield text
        raise error

    with guarding(written(tmp_path, SHORT)) as guard:
        with pytest.raises(ValueError, match="its own") as caught:
            guard.call("x", failing)
        assert caught.value is error
        with pytest.raises(ValueError, match="its own") as caught:
            asyncio.run(guard.acall("x", failing_later))
        assert caught.value is error
        result = guard.call("x", failing_amid)
        with pytest.raises(ValueError, match="its own") as caught:
            list(result.response)
        assert caught.value is error
        assert result.verification.result(HANG_S).checks[0].passed is True
        assert [call["error"] for call in sent(guard)] == ["ValueError: its own"] * 3
        assert guard.stats().judged == 3


def test_a_call_that_is_cancelled_is_cancelled(tmp_path: Path) -> None:
    async def agent(text: str) -> str:
        await asyncio.sleep(HANG_S)
        return text

    async def words(text: str) -> AsyncIterator[str]:
        yield text
        await asyncio.sleep(HANG_S)

    async def work() -> None:
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(guard.acall("x", agent), 0.01)
        result = await guard.acall("x", words)
        stream = result.response
        assert await anext(stream) == "x"
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(anext(stream), 0.01)
        assert (await result.verification).checks[0].result == "not_applicable"

    with guarding(written(tmp_path, SHORT)) as guard:
        asyncio.run(work())
        calls = sent(guard)
    assert [call["attrs"]["cancelled"] for call in calls] == [True, True]
    assert not any("error" in call for call in calls)


def test_a_defect_of_ours_costs_the_checks_and_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(*_: object) -> None:
        raise KeyError("secret text")

    with guarding(written(tmp_path, SHORT)) as guard, caplog.at_level(logging.DEBUG, "aftercall"):
        monkeypatch.setattr(worker, "judge_call", broken)
        result = guard.call("secret text", str)
        assert "a defect of aftercall" in str(result.verification.result(HANG_S).reason)
        (call,) = sent(guard)
        assert "checks" not in call
        monkeypatch.undo()
        assert guard.call("x", str).verification.result(HANG_S).passed
    assert "secret" not in caplog.text


def test_no_call_waits_for_rules_that_hang(tmp_path: Path) -> None:
    """A hundred calls beside a rule that takes a second each: any wait for it would be a hundred seconds."""
    rules.release.clear()
    beats = 0

    async def agent(text: str) -> str:
        await asyncio.sleep(0)
        return text

    async def work() -> None:
        nonlocal beats
        for _ in range(100):
            await guard.acall("x", agent)
            beats += 1

    with guarding(written(tmp_path, code("hangs"))) as guard:
        asyncio.run(work())
        assert guard.stats().calls == 100
        assert guard.stats().slow_runs <= 50
        assert guard.stats().waiting > 0
    assert beats == 100


def test_a_full_client_still_judges(tmp_path: Path) -> None:
    client = Client(transport=MemoryTransport(at_once=False), spool=None, queue_events=2)
    with guarding(written(tmp_path, SHORT), client=client) as guard:
        with guard.worker.judging:
            results = [guard.call("x", str) for _ in range(10)]
        assert all(result.verification.result(HANG_S).passed for result in results)
        client.flush(HANG_S)
        stats = client.stats()
        assert stats.balanced
        assert stats.dropped.get("queue_full", 0) == 8
        assert guard.stats().judged == 10
