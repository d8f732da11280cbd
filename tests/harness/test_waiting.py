"""Waits end as soon as they may, and a failing one shows what it saw."""

from __future__ import annotations

import time

import pytest

from harness.waiting import HANG_S, STILL_S, Stillness, assert_prompt, until


def test_a_wait_ends_once_it_holds() -> None:
    answers = iter([False, False, True])
    until(lambda: next(answers), lambda: "nothing", every_s=0)
    assert list(answers) == []


def test_a_wait_in_vain_shows_what_was_seen() -> None:
    with pytest.raises(AssertionError, match=r"not within 0 s; seen: \['half'\]"):
        until(lambda: False, lambda: ["half"], within_s=0)


def test_a_wait_in_which_nothing_moves_ends_sooner(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [0.0]
    monkeypatch.setattr("time.monotonic", lambda: now[0])
    monkeypatch.setattr("time.sleep", lambda pause_s: now.__setitem__(0, now[0] + pause_s))
    monkeypatch.setattr("os.cpu_count", lambda: 2)

    def fails_at(load: float, stops_at_s: float) -> float:
        monkeypatch.setattr("os.getloadavg", lambda: (load, 0.0, 0.0))
        now[0] = 0.0
        with pytest.raises(AssertionError, match="seen: all"):
            until(lambda: False, lambda: "all", every_s=0.5, moves=lambda: min(now[0] // 1, stops_at_s))
        return now[0]

    assert fails_at(0.1, stops_at_s=0) == pytest.approx(STILL_S, abs=2)
    assert fails_at(0.1, stops_at_s=100) == pytest.approx(100 + STILL_S, abs=2)
    assert fails_at(2.0, stops_at_s=0) == pytest.approx(2 * STILL_S, abs=2)  # two threads per core
    assert fails_at(9.0, stops_at_s=0) == pytest.approx(HANG_S, abs=2)
    assert fails_at(0.1, stops_at_s=1e9) == pytest.approx(HANG_S, abs=2)


def test_time_in_which_the_machine_stood_still_hardly_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [0.0]
    monkeypatch.setattr("time.monotonic", lambda: now[0])
    monkeypatch.setattr("os.getloadavg", lambda: (0.0, 0.0, 0.0))
    still = Stillness(lambda: "nothing moves")
    now[0] = 400.0
    assert still.seconds() == 5.0
    now[0] += 2.0
    assert still.seconds() == 7.0


def test_a_promise_grows_with_the_load_and_no_further(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.cpu_count", lambda: 2)
    monkeypatch.setattr("os.getloadavg", lambda: (20.0, 0.0, 0.0))
    assert_prompt(time.monotonic() - 190, 10, lambda: "slow")
    with pytest.raises(AssertionError, match=r"200\.0 s are allowed; seen: slow"):
        assert_prompt(time.monotonic() - 210, 10, lambda: "slow")
    monkeypatch.setattr("os.getloadavg", lambda: (0.1, 0.0, 0.0))
    with pytest.raises(AssertionError, match=r"10\.0 s are allowed"):
        assert_prompt(time.monotonic() - 11, 10, lambda: "slow")
