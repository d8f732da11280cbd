"""A thread that a defect ends is not gone without a word."""

from __future__ import annotations

import threading

import pytest

from connectors.background import background, beside
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
