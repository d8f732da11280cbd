"""Each verification resolves, with a reason where it was not judged; each call counts once; memory is bounded."""

from __future__ import annotations

import asyncio
import functools
import gc
import os
import sys
import threading
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from aftercall import Client, Judgement, guard
from aftercall.errors import UsageError
from aftercall.testing import MemoryTransport
from harness import guarding as rules
from harness.guarding import SHORT, code, guarding, sent, written
from harness.producing import run
from harness.waiting import HANG_S


def test_what_there_is_no_room_for_is_counted_and_its_event_goes_without_checks(tmp_path: Path) -> None:
    path = written(tmp_path, SHORT)
    with guarding(path, queue_calls=3) as full, guarding(path, queue_bytes=20_500) as heavy:
        for guarded, fits in ((full, 3), (heavy, 2)):
            with guarded.worker.judging:  # nothing is judged meanwhile
                results = [guarded.call("x" * 10_000, str) for _ in range(20)]
                stats = guarded.stats()
                assert (stats.waiting, stats.unjudged) == (fits, {"queue_full": 20 - fits})
                assert guarded is full or stats.waiting_bytes <= 2 * 20_500  # at most one call more
                assert stats.balanced
                refused = [result.verification for result in results if result.verification.done()]
                assert len(refused) == 20 - fits
                assert {(one.passed, one.reason) for one in refused} == {
                    (None, "not judged: too many calls were waiting to be judged")
                }
            assert all(result.verification.result(HANG_S) for result in results)
            calls = sent(guarded)
            assert len(calls) == 20
            assert ["checks" in call for call in calls].count(True) == fits
            assert guarded.stats().waiting_bytes == 0


def test_a_guard_that_is_closed_judges_no_more(tmp_path: Path) -> None:
    rules.release.clear()
    with guarding(written(tmp_path, SHORT, code("hangs"))) as guarded:
        before = guarded.call("x", str)
        guarded.close(0.0)
        after = guarded.call("x", str)
        for result in (before, after):
            assert result.verification.result(0).passed is None
            assert "the guard is closed" in str(result.verification.reason)
        assert len(sent(guarded)) == 2
        assert guarded.stats().balanced


def test_where_no_thread_can_be_started(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    with guarding(written(tmp_path, SHORT)) as guarded:
        with monkeypatch.context() as patch:
            patch.setattr(threading.Thread, "start", refuse)
            results = [guarded.call("x", str) for _ in range(3)]
            assert {result.verification.result(0).reason for result in results} == {
                "not judged: no thread could be started"
            }
            assert len(sent(guarded)) == 3  # by the flush itself
        guarded.worker._retry_at = 0.0
        assert guarded.call("x", str).verification.result(HANG_S).passed
        assert guarded.stats().balanced


def test_calls_that_never_run(tmp_path: Path) -> None:
    def words(text: str) -> Iterator[str]:
        yield text

    async def answer(text: str) -> str:
        return text

    with guarding(written(tmp_path, SHORT)) as guarded:
        for agent in (words, functools.partial(words), answer, lambda text: answer(text + "!")):
            result: Any = guarded.call("x", agent)
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # that a coroutine was not awaited
                result.response = None
                gc.collect()
            found = result.verification.result(HANG_S)
            assert found.passed is None
        assert guarded.flush(HANG_S)
        assert guarded.stats().balanced


def test_wrong_arguments_are_said_where_they_always_are(tmp_path: Path) -> None:
    with guarding(written(tmp_path, SHORT)) as guarded:
        client: Any = guarded._client
        with client.track("refund", model="m", guard=guarded, confg="v1") as call:
            pass
        assert "no event can be made of the call" in call.verification.result(HANG_S).reason
        with client.track("refund", model="m", guard=5) as call:
            pass
        assert call.verification is None
        assert client.flush(HANG_S) is False  # as some of it was dropped
        assert client.stats().dropped == {"invalid": 2}
        assert guarded.stats().unjudged == {"invalid": 1}


def test_a_forked_child_begins_with_nothing(tmp_path: Path) -> None:
    client = Client(transport=MemoryTransport(at_once=False), spool=None)
    rules.release.clear()
    with guarding(written(tmp_path, code("hangs")), client=client) as guarded:
        theirs = guarded.call("x", str)
        read, write = os.pipe()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # of a fork beside threads
            pid = os.fork()
        if pid == 0:
            end = 1
            try:
                inherited = theirs.verification.result(0)
                assert inherited.passed is None
                assert "belongs to the process" in str(inherited.reason)
                assert guarded.stats().calls == 0
                rules.release.set()
                ours = guarded.call("x", str).verification.result(30)
                os.write(write, str(ours.passed).encode())
                end = 0
            finally:
                os._exit(end)
        assert os.waitpid(pid, 0)[1] == 0
        assert os.read(read, 100) == b"True"
        rules.release.set()
        assert theirs.verification.result(HANG_S).checks
        assert [call["call_id"] for call in sent(guarded)] == [theirs.call_id]


PROGRAM = """
import aftercall, json, threading
client = aftercall.Client(file=folder, spool=folder / "spool", flush_at_exit_s={exit_s})
guard = aftercall.guard({contract!r}, client, model="m")
result = guard.call("a b c d", str)
{rest}
"""


@pytest.mark.slow
def test_a_program_that_ends_sends_its_checks(tmp_path: Path) -> None:
    path = written(tmp_path, SHORT)
    done = run(tmp_path, PROGRAM.format(contract=str(path), exit_s=60, rest=""))
    assert (done.returncode, done.stderr) == (0, "")
    assert '"result":"fail"' in (tmp_path / "calls.jsonl").read_text()


@pytest.mark.slow
def test_a_program_that_ends_amid_a_rule_keeps_its_call(tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text("import threading\ndef rule(call):\n    threading.Event().wait()\n")
    path = written(tmp_path, SHORT, {"id": "mine", "type": "python", "function": "mine:rule"})
    program = PROGRAM.format(contract=str(path), exit_s=0.05, rest="")
    done = run(tmp_path, f"import sys\nsys.path.insert(0, str(folder))\n{program}")
    assert (done.returncode, done.stderr) == (0, "")
    left = run(tmp_path, 'emit("next")\nassert emitter.flush(60)')
    assert (left.returncode, left.stderr) == (0, "")
    text = "".join(file.read_text() for file in tmp_path.glob("calls*.jsonl"))
    assert text.count('"call_id"') == 2
    assert '"rule":"mine","result":"error"' in text


def test_an_event_loop_that_is_gone_hurts_none(tmp_path: Path) -> None:
    rules.release.clear()
    with guarding(written(tmp_path, code("hangs"))) as guarded:
        result = guarded.call("x", str)

        async def wait() -> Judgement:
            return await result.verification

        async def give_up() -> None:
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(wait(), 0.01)

        asyncio.run(give_up())
        rules.release.set()
        assert result.verification.result(HANG_S).checks


def test_a_judgement_counts_once(tmp_path: Path) -> None:
    with guarding(written(tmp_path, SHORT)) as guarded:
        result = guarded.call("x", str)
        first = result.verification.result(HANG_S)
        assert result.verification.settle(Judgement("other")) is False
        assert result.verification.result() is first


def test_a_guard_needs_contracts_that_are_there(tmp_path: Path) -> None:
    client = Client(transport=MemoryTransport())
    with pytest.raises(Exception, match=r"refund\.toml: cannot be read"):
        guard(tmp_path / "refund.toml", client)


def test_a_package_that_is_missing_is_said_when_the_guard_is_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = Client(transport=MemoryTransport())
    monkeypatch.setitem(sys.modules, "re2", None)
    topics = {"never": ["a phrase of this test alone"]}
    path = written(tmp_path, {"id": "polite", "type": "prohibited_topics", "topics": topics})
    with pytest.raises(UsageError, match=r"google-re2.*pip install 'aftercall\[contracts\]'"):
        guard(path, client)
    with guarding(written(tmp_path, SHORT)) as guarded:  # which needs no package
        assert guarded.call("x", str).verification.result(HANG_S).passed
