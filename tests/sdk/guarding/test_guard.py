"""A guard gives the response at once, and later what the contracts in effect say about the call."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from aftercall import Client, Judgement
from aftercall.testing import MemoryTransport
from aftercall.vocabulary import MAX_CHECKS
from harness.guarding import POLITE, SHORT, SLOW, code, guarding, sent, written
from harness.waiting import HANG_S


def test_the_response_is_there_before_the_judgement(tmp_path: Path) -> None:
    response = {"choices": [{"message": {"content": "one two three four"}}]}
    with guarding(written(tmp_path, SHORT, SLOW)) as guard, guard.worker.judging:
        result = guard.call("Where is my parcel?", lambda text: response)
        assert result.response is response
        assert not result.verification.done()
        assert (result.verification.passed, result.verification.checks) == (None, ())
        with pytest.raises(TimeoutError):
            result.verification.result(0.0)
        guard.worker.judging.release()
        found = result.verification.result(HANG_S)
        guard.worker.judging.acquire()
    assert found.call_id == result.call_id
    assert (found.passed, found.reason) == (False, None)
    assert [(check.rule, check.passed) for check in found.checks] == [("short", False), ("fast", True)]
    assert [check.rule for check in found.violations] == ["short"]
    assert found.violations[0].details == "4 words, more than 3"
    assert result.verification.violations == found.violations


def test_the_event_carries_the_checks_that_only_the_producer_can_make(tmp_path: Path) -> None:
    with guarding(written(tmp_path, SHORT, SLOW, code("has_order"))) as guard:
        result = guard.call("hello", lambda text: "you get it")
        (call,) = sent(guard)
        (contract,) = {check.hash for check in result.verification.checks}
    assert call["call_id"] == result.call_id
    of_contract = {"contract": "refund", "version": "1", "hash": contract}
    assert call["checks"] == [
        of_contract
        | {"rule": "short", "result": "pass", "actual": 3, "threshold": 3, "details": "within the bounds, in words"},
        of_contract | {"rule": "has-order", "result": "fail"},
    ]
    assert not {"input", "output"} & call.keys()


def test_a_call_that_no_rule_says_anything_about_is_neither_kept_nor_broken(tmp_path: Path) -> None:
    with guarding(written(tmp_path, {"id": "few", "type": "allowed_tools", "tools": ["a"]})) as guard:
        assert guard.call("x", str).verification.result(HANG_S).passed is None
        other = guard.call("x", str, task_type="another").verification.result(HANG_S)
        assert (other.passed, other.checks, other.reason) == (None, (), None)
        assert guard.stats().judged == 2
        assert all("checks" not in call for call in sent(guard))


def test_the_version_in_effect_when_the_call_ended_judges_it(tmp_path: Path) -> None:
    written(tmp_path, SHORT)
    written(tmp_path, SHORT | {"max": 1}, version="2", effective_from="2026-01-01T00:00:00Z")
    written(tmp_path, SHORT | {"max": 9}, version="3", effective_from="2100-01-01T00:00:00Z")
    with guarding(tmp_path) as guard:
        (check,) = guard.call("x", lambda text: "two words").verification.result(HANG_S).checks
    assert (check.version, check.passed) == ("2", False)


def test_several_files_and_their_own_groups(tmp_path: Path) -> None:
    every = written(tmp_path, SLOW, name="every", tasks=["*"])
    large = written(tmp_path, SHORT, name="large", models=["large*"])
    client = Client(transport=MemoryTransport(at_once=False), spool=None)
    with guarding([every, large], client=client, task_type="refund") as guard:  # type: ignore[arg-type]
        small = guard.call("x", str, model="small").verification.result(HANG_S)
        both = guard.call("x", str, model="large-2\u200b").verification.result(HANG_S)  # as the pipeline reads names
    assert [check.contract for check in small.checks] == ["every"]
    assert [check.contract for check in both.checks] == ["every", "large"]


def test_what_a_call_declares(tmp_path: Path) -> None:
    with guarding(written(tmp_path, SHORT), config="v1") as guard:

        @guard._client.track("refund_eu", model="of-agent", attrs={"a": 1})
        def agent(text: str) -> str:
            return text

        guard.call("x", str)
        guard.call("x", agent)
        guard.call("x", agent, model="given", segment="long", session_id="s", call_id="mine")
        calls = sent(guard)
    assert [(call["task_type"], call["model"], call["config"]) for call in calls] == [
        ("refund", "m", "v1"),
        ("refund_eu", "of-agent", "v1"),
        ("refund_eu", "given", "v1"),
    ]
    assert calls[1]["attrs"]["a"] == 1
    assert (calls[2]["call_id"], calls[2]["segment"], calls[2]["session_id"]) == ("mine", "long", "s")


def test_a_tracked_method_is_one_call(tmp_path: Path) -> None:
    with guarding(written(tmp_path, SHORT)) as guard:

        class Agent:
            @guard._client.track("refund", model="of-agent")
            def answer(self, text: str) -> str:
                return text

        assert guard.call("a b c d", Agent().answer).verification.result(HANG_S).passed is False
        assert [call["model"] for call in sent(guard)] == ["of-agent"]


def test_calls_that_are_tracked_are_judged_too(tmp_path: Path) -> None:
    found: list[Judgement] = []
    with guarding(written(tmp_path, SHORT), on_violation=found.append) as guard:
        client = guard._client

        @client.track("refund", model="m", guard=guard)
        def answer(text: str) -> str:
            assert client.current_call().verification is not None
            return text

        answer("one two three four")
        with client.track("refund", model="m", guard=guard) as call:
            call.set(output="a b c d e")
        assert call.verification is not None
        assert call.verification.result(HANG_S).violations[0].actual == 5
        verification = client.call("refund", answer, "short", model="m", guard=guard).verification
        assert verification is not None
        assert verification.result(HANG_S).passed
        assert client.call("refund", str, "x", model="m").verification is None
        assert guard.flush(HANG_S)
    assert [judgement.violations[0].actual for judgement in found] == [4, 5]


def test_coroutines_are_awaited(tmp_path: Path) -> None:
    async def agent(text: str, *, tone: str) -> str:
        await asyncio.sleep(0)
        return text + tone

    async def work() -> None:
        result = await guard.acall("a b c", agent, tone=" d")
        assert result.response == "a b c d"
        assert (await result.verification).passed is False
        assert (await result.verification).passed is False
        assert (await guard.acall("a", lambda text: agent(text, tone=""))).response == "a"
        assert (await guard.acall("a", str.upper)).response == "A"

    with guarding(written(tmp_path, SHORT)) as guard:
        asyncio.run(work())
        assert guard.stats().violations == 1


def test_streams_are_judged_when_they_end(tmp_path: Path) -> None:
    def words(text: str) -> Iterator[str]:
        yield from ("one ", "two ", text)

    with guarding(written(tmp_path, SHORT)) as guard:
        for agent in (words, lambda text: iter([*words(text)])):
            result = guard.call("three four", agent)
            assert next(result.response) == "one "
            assert guard.flush(HANG_S)
            assert not result.verification.done()
            assert list(result.response) == ["two ", "three four"]
            assert result.verification.result(HANG_S).violations[0].actual == 4


def test_async_streams_are_judged_when_they_end(tmp_path: Path) -> None:
    async def words(text: str) -> AsyncIterator[str]:
        for word in ("one ", "two ", text):
            await asyncio.sleep(0)
            yield word

    async def work() -> None:
        result = await guard.acall("three four", words)
        assert not result.verification.done()
        assert [word async for word in result.response] == ["one ", "two ", "three four"]
        assert (await result.verification).violations[0].actual == 4

    with guarding(written(tmp_path, SHORT)) as guard:
        asyncio.run(work())


def test_a_stream_that_is_left_breaks_no_rule_on_whole_outputs(tmp_path: Path) -> None:
    def words(text: str) -> Iterator[str]:
        yield from ("you fool", "one ", "two ")

    with guarding(written(tmp_path, SHORT, POLITE)) as guard:
        result = guard.call("x", words)
        next(result.response)
        result.response.close()  # type: ignore[attr-defined]
        short, polite = result.verification.result(HANG_S).checks
    assert (short.result, polite.result) == ("not_applicable", "fail")


def test_on_violation_hears_of_violations_only(tmp_path: Path) -> None:
    threads = []
    with guarding(
        written(tmp_path, POLITE), on_violation=lambda _: threads.append(threading.current_thread())
    ) as guard:
        guard.call("x", lambda text: "gladly")
        guard.call("x", lambda text: "You  FOOL!")
        assert guard.flush(HANG_S)
        assert guard.stats().violations == 1
    assert len(threads) == 1
    assert threads[0] is not threading.current_thread()


def test_calls_that_are_not_sent_are_judged(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for variable in ("AFTERCALL_KAFKA", "AFTERCALL_URL", "AFTERCALL_FILE"):
        monkeypatch.delenv(variable, raising=False)
    for client in (Client(), Client(transport=MemoryTransport(), sample=1e-12)):
        with guarding(written(tmp_path, SHORT), client=client) as guard:
            assert guard.call("a b c d", str).verification.result(HANG_S).passed is False
            with client.track("refund", model="m", guard=guard) as call:
                call.observe("a")
            assert call.verification is not None
            assert call.verification.result(HANG_S).passed is True


def test_switched_off_it_judges_nothing_and_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AFTERCALL_DISABLED", "1")
    with guarding(written(tmp_path, SHORT), client=Client(transport=MemoryTransport())) as guard:
        result = guard.call("a b c d", str)
        assert result.response == "a b c d"
        assert result.verification.result(0).passed is None
        assert "AFTERCALL_DISABLED" in str(result.verification.reason)
        with guard._client.track("refund", guard=guard) as call:
            assert call.verification is not None
        assert guard._client.track("refund", guard=guard)(str) is str
        assert guard.stats().calls == 0


def test_an_event_has_at_most_so_many_checks(tmp_path: Path) -> None:
    rules = [SHORT | {"id": f"short-{at}"} for at in range(MAX_CHECKS)]
    with guarding(written(tmp_path, *rules)) as guard:
        guard.call("x", str)
        (call,) = sent(guard)
        assert len(call["checks"]) == MAX_CHECKS


def test_texts_that_are_not_held_whole_are_an_error(tmp_path: Path) -> None:
    def words(text: str) -> Iterator[str]:
        for _ in range(24):
            yield text

    with guarding(written(tmp_path, POLITE, SHORT | {"unit": "characters", "max": 1 << 21})) as guard:
        for result in (guard.call("x" * (1 << 16), words), guard.call("x" * (1 << 21), str)):
            list(result.response)
            found = result.verification.result(HANG_S)
            assert [check.result for check in found.checks] == ["error", "error"]
            assert found.passed is None
            assert "1,048,576 characters" in found.checks[0].details


def test_in_tests_of_users_all_is_judged_on_the_spot(tmp_path: Path) -> None:
    found: list[object] = []
    path = written(tmp_path, SHORT, code("has_order"))
    with guarding(path, at_once=True, on_violation=found.append) as guard:
        result = guard.call("x", lambda text: "a b c d")
        assert [check.passed for check in result.verification.checks] == [False, False]
        (call,) = sent(guard)
        assert [check["result"] for check in call["checks"]] == ["fail", "fail"]
        assert len(found) == 1
        assert guard.stats().balanced


def test_durable_calls_are_judged_before_they_return(tmp_path: Path) -> None:
    client = Client(transport=MemoryTransport(at_once=False), spool=tmp_path / "spool", durable=True)
    with guarding(written(tmp_path, SHORT, code("has_order")), client=client) as guard:
        short, order = guard.call("x", lambda text: "a b c d").verification.checks
        assert (short.result, order.result) == ("fail", "error")
        assert "durable" in order.details
        (call,) = sent(guard)
        assert [check["result"] for check in call["checks"]] == ["fail", "error"]
