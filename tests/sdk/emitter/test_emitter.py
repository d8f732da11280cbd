"""Events reach the transport once, bounds hold, every loss is counted, and nothing reaches the caller."""

from __future__ import annotations

import asyncio
import itertools
import logging
import threading
import time
from collections.abc import Callable
from http.client import HTTPException
from pathlib import Path
from typing import Any

import pytest

from aftercall.emitter import Emitter
from aftercall.emitter.sender import Sender
from aftercall.transports.http import HttpTransport
from aftercall.transports.kafka import KafkaTransport
from aftercall.transports.transport import UnavailableError
from harness.emitting import Scripted, call, closing, emit, left_in, wait_for
from harness.endpoint import endpoint

IDS = [f"c{number}" for number in range(1200)]


@pytest.fixture(params=["file", "memory"])
def spool(request: pytest.FixtureRequest, tmp_path: Path) -> Path | None:
    """With a folder and without."""
    return tmp_path / "spool" if request.param == "file" else None


def test_what_is_emitted_arrives_once_in_order_and_leaves_nothing_behind(spool: Path | None) -> None:
    transport = Scripted()
    with closing(Emitter(transport, spool=spool)) as emitter:
        emit(emitter, *IDS)
        assert emitter.flush(60)
        stats = emitter.stats()
    assert transport.delivered == IDS
    assert stats == (1200, 0, 1200, 0, 0, 0, 0, {}, 0)
    assert spool is None or left_in(spool) == []


def test_an_outcome_and_a_call_are_sent_with_their_types_and_without_what_is_absent() -> None:
    transport = Scripted()
    outcome = {"outcome_id": "o", "call_id": "c", "occurred_at": "2026-03-01T12:00:00Z", "source": "s", "score": 0.5}
    with closing(Emitter(transport, spool=None)) as emitter:
        emit(emitter, "c", segment=None, attrs={"name": "Zoë"})
        emitter.emit("outcomes", "c", lambda: {**outcome, "reason": None})
        assert emitter.flush(60)
    assert transport.values == [
        {"type": "call", **call("c"), "attrs": {"name": "Zoë"}},
        {"type": "outcome", **outcome},
    ]


@pytest.mark.parametrize("raises", [OSError("gone"), HTTPException(), MemoryError(), UnavailableError("away")])
def test_a_transport_that_raises_is_offered_the_same_again(spool: Path | None, raises: Exception) -> None:
    transport = Scripted()
    transport.raises = raises
    with closing(Emitter(transport, spool=spool)) as emitter:
        emit(emitter, *IDS)
        wait_for(lambda: transport.opened > 0 and emitter.stats().memory_bytes < len(IDS) * 256 + 1)
        assert not emitter.flush(0.0)
        transport.raises = None
        assert emitter.flush(60)
        assert emitter.stats().acknowledged == len(IDS)
    assert transport.delivered == IDS


@pytest.mark.parametrize("broken", ["raises", "hangs", "answers garbage", "refuses", "fails", "answers nothing"])
def test_nothing_we_do_reaches_the_agent(broken: str, spool: Path | None, caplog: pytest.LogCaptureFixture) -> None:
    transport = Scripted()
    held = threading.Event()
    match broken:
        case "raises":
            transport.raises = RuntimeError("secret")
        case "hangs":
            transport.waits = held.wait
        case "answers garbage":
            transport.offer = lambda messages: "garbage"  # type: ignore[method-assign, assignment, return-value]
        case "refuses":
            transport.answer = "refused"
        case "fails":
            transport.answer = "failed"
        case "answers nothing":
            transport.answer = None
    emitter = Emitter(transport, spool=spool, queue_events=50)
    try:
        for number in range(200):
            emitter.emit("calls", str(number), lambda: call("c", task_type="secret"))
            emitter.emit("calls", str(number), _raising)
            emitter.emit("outcomes", "c", lambda: {"outcome_id": object()})
        emitter.count_invalid("a score of NaN")
        began = time.monotonic()
        emitter.flush(0.2)
        emitter.close(0.2)
        assert time.monotonic() - began < 30
        stats = emitter.stats()
        assert stats.balanced
        assert stats.emitted == 601
        assert "secret" not in caplog.text
    finally:
        held.set()


@pytest.mark.parametrize("status", [408, 500, 502])
def test_nothing_of_what_a_server_answers_reaches_the_agent(tmp_path: Path, status: int) -> None:
    with endpoint() as server:
        server.answers = [(status, {})] * 3
        with closing(Emitter(HttpTransport(server.url), spool=tmp_path)) as emitter:
            emit(emitter, *IDS[:10])
            assert emitter.flush(60)
        assert [line["call_id"] for line in server.lines] == IDS[:10]


def _raising() -> dict[str, Any]:
    raise ValueError("secret")


@pytest.mark.parametrize("timeout", [0.0, 0.3])
def test_flush_returns_within_its_timeout_whatever_happens(timeout: float, tmp_path: Path) -> None:
    held = threading.Event()
    transport = Scripted()
    transport.waits = held.wait
    emitter = Emitter(transport, spool=tmp_path)
    emit(emitter, "a")
    began = time.monotonic()
    assert not emitter.flush(timeout)
    assert not asyncio.run(emitter.flush_async(timeout))
    emitter.close(timeout)
    assert time.monotonic() - began < 30
    held.set()


@pytest.mark.parametrize("hangs", [True, False], ids=["that hangs", "that refuses connections"])
def test_a_heartbeat_beside_an_unreachable_broker_misses_no_beat(tmp_path: Path, *, hangs: bool) -> None:
    held = threading.Event()
    scripted = Scripted()
    scripted.waits = held.wait
    transport = scripted if hangs else KafkaTransport("127.0.0.1:9")
    beats = 0

    async def heart() -> None:
        nonlocal beats
        while True:
            beats += 1
            await asyncio.sleep(0.01)

    async def main() -> list[int]:
        task = asyncio.create_task(heart())
        emitter = Emitter(transport, spool=tmp_path)
        emit(emitter, "a", "b")
        assert not await emitter.flush_async(1.0)
        flushed = beats
        await emitter.aclose(1.0)
        task.cancel()
        return [flushed, beats - flushed]

    # In a second each; a wait of ours on the loop would leave next to none.
    assert min(asyncio.run(main())) > 10
    held.set()


def test_beyond_its_bounds_the_queue_refuses_the_newest_and_counts_them(spool: Path | None) -> None:
    transport, held = Scripted(), threading.Event()
    transport.waits = held.wait
    with closing(Emitter(transport, spool=spool, queue_events=7)) as emitter:
        emit(emitter, "first")
        wait_for(lambda: transport.opened > 0)  # and hangs
        emit(emitter, *IDS[:20])
        waiting = 7 if spool is not None else 6
        assert emitter.stats().dropped == {"queue_full": 20 - waiting}
        held.set()
        assert emitter.flush(60)
        emit(emitter, "after", "later")
        assert emitter.flush(60)
        assert emitter.stats().balanced
    assert transport.delivered == ["first", *IDS[:waiting], "after", "later"]
    reported = [value.get("attrs") for value in transport.values]
    assert [attrs for attrs in reported if attrs] == [{"dropped_before": 20 - waiting}]


def test_the_bytes_of_the_queue_are_bounded() -> None:
    transport, held = Scripted(), threading.Event()
    transport.waits = held.wait
    with closing(Emitter(transport, spool=None, queue_bytes=10_000)) as emitter:
        emit(emitter, "first")
        wait_for(lambda: transport.opened > 0)  # and hangs
        for number in range(100):
            emitter.emit("calls", str(number), lambda: call("c"), size=900)
        stats = emitter.stats()
        assert 10_000 <= stats.memory_bytes < 10_000 + 900
        assert stats.dropped == {"queue_full": 100 - 11}
        held.set()


def test_a_batch_job_may_wait_for_room() -> None:
    transport = Scripted()
    with closing(Emitter(transport, spool=None, queue_events=5, on_full="block", block_s=60)) as emitter:
        emit(emitter, *IDS[:100])
        assert emitter.flush(60)
        assert emitter.stats().dropped == {}
    assert transport.delivered == IDS[:100]


def test_what_is_invalid_is_counted_and_logged_once_for_each_rule(caplog: pytest.LogCaptureFixture) -> None:
    transport = Scripted()
    with closing(Emitter(transport, spool=None)) as emitter:
        for bad in ({"model": "secret" * 99}, {"cost_usd": -1.0}, {"attrs": {"x": float("nan")}}, {"extra": {1, 2}}):
            emit(emitter, "a", "b", **bad)
        emitter.emit("calls", "none", lambda: None)
        assert not emitter.flush(60)
        emit(emitter, "good")
        assert emitter.flush(60)
        stats = emitter.stats()
    assert stats.dropped == {"invalid": 8}
    assert stats.skipped == 1
    assert transport.delivered == ["good"]
    said = [record.getMessage() for record in caplog.records if "invalid and dropped" in record.getMessage()]
    assert len(said) == 4
    assert not any("secret" in sentence for sentence in said)


def test_an_event_that_is_too_large_is_counted() -> None:
    transport = Scripted()
    with closing(Emitter(transport, spool=None)) as emitter:
        emit(emitter, "big", output="x" * (1 << 20))
        assert not emitter.flush(60)
        emit(emitter, "good")
        assert emitter.flush(60)
        assert emitter.stats().dropped == {"too_large": 1}
    assert transport.values[0]["attrs"] == {"dropped_before": 1}


def test_what_is_refused_is_counted_and_not_sent_again(spool: Path | None) -> None:
    transport = Scripted("refused")
    with closing(Emitter(transport, spool=spool)) as emitter:
        emit(emitter, "a", "b")
        assert not emitter.flush(60)
        assert emitter.stats().dropped == {"refused_by_broker": 2}
        assert emitter.stats().memory_bytes == 0


def test_ten_thousand_calls_from_many_threads_take_one_thread(tmp_path: Path) -> None:
    transport = Scripted()
    before = set(threading.enumerate())
    numbers = itertools.count()
    with closing(Emitter(transport, spool=tmp_path, queue_events=20_000)) as emitter:

        def work() -> None:
            for _ in range(1000):
                emit(emitter, str(next(numbers)))

        threads = [threading.Thread(target=work) for _ in range(10)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert [thread.name for thread in set(threading.enumerate()) - before] == ["aftercall"]
        assert emitter.flush(120)
        assert emitter.stats().balanced
    assert sorted(map(int, transport.delivered)) == list(range(10_000))


def test_where_no_thread_can_be_started_flush_sends(monkeypatch: pytest.MonkeyPatch, spool: Path | None) -> None:
    transport = Scripted()

    def start(thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", start)
    with closing(Emitter(transport, spool=spool)) as emitter:
        emit(emitter, *IDS)
        assert emitter.flush(60)
        emit(emitter, "last")
        assert asyncio.run(emitter.flush_async(60))
    assert transport.delivered == [*IDS, "last"]


def test_a_finalizer_that_emits_in_the_middle_of_an_emit_is_no_deadlock() -> None:
    transport = Scripted()
    with closing(Emitter(transport, spool=None)) as emitter:
        with emitter._sender.tally.lock:
            emit(emitter, "inner")
        emit(emitter, "outer")
        assert emitter.flush(60)
    assert transport.delivered == ["inner", "outer"]


def test_a_defect_in_the_sender_is_logged_and_it_goes_on(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    transport = Scripted()
    step: Callable[[Sender, float], bool] = Sender.step
    fails = [True]

    def once(sender: Sender, wait_s: float) -> bool:
        if fails:
            fails.pop()
            raise KeyError("defect")
        return step(sender, wait_s)

    monkeypatch.setattr(Sender, "step", once)
    with closing(Emitter(transport, spool=None)) as emitter:
        emit(emitter, "a")
        assert emitter.flush(60)
    assert "a defect in the sender: KeyError" in caplog.text


def test_after_close_events_are_refused_and_a_second_close_is_harmless(tmp_path: Path) -> None:
    transport = Scripted()
    emitter = Emitter(transport, spool=tmp_path)
    emit(emitter, "a")
    emitter.close(60)
    emit(emitter, "b")
    emitter.close(60)
    asyncio.run(emitter.aclose(60))
    assert transport.delivered == ["a"]
    assert emitter.stats().dropped == {"shutdown": 1}


def test_what_is_in_memory_at_the_end_is_counted_as_lost(caplog: pytest.LogCaptureFixture) -> None:
    transport = Scripted(answer=None)
    emitter = Emitter(transport, spool=None)
    emit(emitter, "a", "b")
    with caplog.at_level(logging.WARNING, "aftercall"):
        emitter.close(0.0)
    wait_for(lambda: emitter.stats().dropped == {"shutdown": 2})
    assert emitter.stats().balanced
    wait_for(lambda: "dropped shutdown=2" in caplog.text)


def test_a_transport_is_made_by_the_sender_thread(tmp_path: Path) -> None:
    made: list[str] = []
    transport = Scripted()

    def make() -> Scripted:
        made.append(threading.current_thread().name)
        return transport

    with closing(Emitter(make, spool=tmp_path)) as emitter:
        assert made == []
        emit(emitter, "a")
        assert emitter.flush(60)
    assert made == ["aftercall"]
