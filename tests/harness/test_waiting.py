"""Waits end as soon as they may, and a failing one shows what it saw."""

from __future__ import annotations

import time

import pytest

from harness.waiting import assert_prompt, until


def test_a_wait_ends_once_it_holds() -> None:
    answers = iter([False, False, True])
    until(lambda: next(answers), lambda: "nothing", every_s=0)
    assert list(answers) == []


def test_a_wait_in_vain_shows_what_was_seen() -> None:
    with pytest.raises(AssertionError, match=r"not within 0 s; seen: \['half'\]"):
        until(lambda: False, lambda: ["half"], within_s=0)


def test_a_promise_grows_with_the_load_and_no_further(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.cpu_count", lambda: 2)
    monkeypatch.setattr("os.getloadavg", lambda: (20.0, 0.0, 0.0))
    assert_prompt(time.monotonic() - 190, 10, lambda: "slow")
    with pytest.raises(AssertionError, match=r"200\.0 s are allowed; seen: slow"):
        assert_prompt(time.monotonic() - 210, 10, lambda: "slow")
    monkeypatch.setattr("os.getloadavg", lambda: (0.1, 0.0, 0.0))
    with pytest.raises(AssertionError, match=r"10\.0 s are allowed"):
        assert_prompt(time.monotonic() - 11, 10, lambda: "slow")
