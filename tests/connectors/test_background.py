"""A thread that a defect ends is not gone without a word."""

from __future__ import annotations

import subprocess
import sys
import threading
from functools import partial

import pytest

from connectors.background import Worker, background, beside
from harness.waiting import HANG_S


def test_a_defect_is_logged_with_its_traceback_and_reported(caplog: pytest.LogCaptureFixture) -> None:
    reported: list[BaseException] = []
    thread = background("aftercall-some", {}.popitem, reported.append)  # type: ignore[arg-type]
    thread.start()
    thread.join()
    assert [type(error) for error in reported] == [KeyError]
    assert "aftercall-some was ended by a defect of aftercall, KeyError" in caplog.text
    assert "Traceback" in caplog.text


def test_a_thread_that_ends_is_no_defect(caplog: pytest.LogCaptureFixture) -> None:
    reported: list[BaseException] = []
    thread = background("aftercall-some", lambda: None, reported.append)
    thread.start()
    thread.join()
    assert not reported
    assert not caplog.records


def test_what_runs_beside_begins_without_waiting_and_is_over_whatever_it_raises(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Without memory a `Thread` may end before it says that it has begun, and its `start` waits for ever."""
    monkeypatch.setattr(threading.Thread, "start", lambda _: pytest.fail("it may wait for ever"))
    assert beside({}.popitem).wait(HANG_S)
    assert beside(dict).wait(HANG_S)


INTERRUPTED_WHILE_IT_BEGINS = """
import subprocess
import sys
import threading
from functools import partial
from connectors.background import Worker

begin = threading.Thread.start

def begin_and_interrupt(thread):
    begin(thread)
    raise KeyboardInterrupt

threading.Thread.start = begin_and_interrupt
try:
    Worker("worker")
except KeyboardInterrupt as interrupt:
    kept = interrupt  # with all that was being built, as what reports an interrupt does
    print("interrupted")
"""


def test_a_process_ends_that_was_interrupted_while_a_worker_began() -> None:
    done = subprocess.run(
        [sys.executable, "-c", INTERRUPTED_WHILE_IT_BEGINS], capture_output=True, text=True, timeout=HANG_S, check=True
    )
    assert done.stdout == "interrupted\n"


def test_a_worker_runs_one_after_another_and_its_errors_are_raised_where_they_are_asked_for() -> None:
    worker, found = Worker("worker"), list[int]()

    def defect() -> None:
        raise OSError("full")

    futures = [worker.submit(partial(found.append, at)) for at in range(50)]
    broken = worker.submit(defect)
    after = worker.submit(partial(found.append, 50))
    worker.shutdown()
    assert found == list(range(51))
    assert all(future.result() is None for future in (*futures, after))
    with pytest.raises(OSError, match="full"):
        broken.result()
