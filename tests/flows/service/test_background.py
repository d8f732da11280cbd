"""A defect in a thread beside the dataflow is raised where the dataflow asks whether to stop."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from flows.dataflow.letter_log import LETTER_LOG
from flows.service.report import reporting
from flows.service.signals import Stopping
from flows.service.wall_clock import WallClock
from harness.waiting import until


def fails(*_: object) -> None:
    raise KeyError("a defect of ours")


def until_raised(asked: Callable[[], bool]) -> None:
    def is_raised() -> bool:
        try:
            asked()
        except KeyError:
            return True
        return False

    until(is_raised, lambda: "no KeyError")


def test_one_in_the_report_ends_the_run(monkeypatch: pytest.MonkeyPatch) -> None:
    stopping = Stopping()
    with monkeypatch.context() as patch, reporting(1, 2, stopping.fail):
        patch.setattr(LETTER_LOG, "log", fails)
        until_raised(stopping)
        patch.undo()
    with pytest.raises(KeyError):
        stopping.overdue()


def test_one_in_the_look_at_the_clock_ends_the_run(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(WallClock, "_run", fails)
    stopping = Stopping()
    WallClock(lambda: None, stopping.fail)
    until_raised(stopping)


def test_without_one_it_answers() -> None:
    stopping = Stopping()
    assert not stopping()
    stopping.begin()
    assert stopping()
    assert not stopping.overdue()
