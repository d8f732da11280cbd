"""The board between the processes of a service: confirmations, and the broker's clock."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from aftercall.times import HOUR_US, MINUTE_US, NEVER
from connectors.kafka.claim_board import LEASE_S, ClaimBoard

T0_US = 1_700_000_000_000_000


class Clocks:
    """Monotonic and wall clock of a host, in µs; the wall clock may be set."""

    def __init__(self) -> None:
        self.monotonic_us, self.wall_us = 5_000_000, T0_US

    def pass_us(self, passed: int) -> None:
        self.monotonic_us += passed
        self.wall_us += passed

    def board(self, folder: Path, *, reset: bool = False) -> ClaimBoard:
        return ClaimBoard(
            folder / "claim",
            reset=reset,
            monotonic_ns=lambda: self.monotonic_us * 1000,
            wall_ns=lambda: self.wall_us * 1000,
        )


def test_without_a_claim_all_is_confirmed_and_no_clock_is_behind(tmp_path: Path) -> None:
    board = Clocks().board(tmp_path, reset=True)
    assert board.is_confirmed(board.ask())
    assert board.unconfirmed_s() == 0
    assert board.behind_us() == NEVER
    assert not board.is_clock_watched


def test_what_was_asked_is_confirmed_by_a_heartbeat_that_began_later(tmp_path: Path) -> None:
    clocks = Clocks()
    parent, member = clocks.board(tmp_path, reset=True), clocks.board(tmp_path)
    parent.confirm(clocks.monotonic_us * 1000)
    clocks.pass_us(100)
    assert not parent.is_asked()
    asked = member.ask()
    assert parent.is_asked()
    assert not member.is_confirmed(asked)
    parent.confirm(asked)  # at the same instant: it may have been sent before
    assert not member.is_confirmed(asked)
    parent.confirm(asked + 1)
    assert member.is_confirmed(asked)
    assert not parent.is_asked()
    clocks.pass_us(20 * 1_000_000)
    assert 19.9 < member.unconfirmed_s() < 20.1


def test_a_confirmation_is_no_younger_for_the_time_in_which_the_host_was_suspended(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    board, running = ClaimBoard(tmp_path / "claim", reset=True), time.clock_gettime_ns
    board.confirm(board.now_ns())
    asked = board.ask()
    slept = {time.CLOCK_BOOTTIME: int(LEASE_S * 1e9)}
    monkeypatch.setattr(time, "clock_gettime_ns", lambda clock: running(clock) + slept.get(clock, 0))
    assert board.unconfirmed_s() > LEASE_S
    assert not board.is_confirmed(asked)
    board.confirm(board.now_ns())
    assert board.is_confirmed(asked)


def test_a_new_run_leaves_the_board_of_the_one_before_to_its_processes(tmp_path: Path) -> None:
    clocks = Clocks()
    before = clocks.board(tmp_path, reset=True)
    before.confirm(clocks.monotonic_us * 1000)
    now = clocks.board(tmp_path, reset=True)
    now.confirm(clocks.monotonic_us * 1000 + 10**12)
    clocks.pass_us(60 * 1_000_000)
    assert before.unconfirmed_s() > 50
    assert now.unconfirmed_s() < 0


def test_of_two_sightings_in_a_row_the_earlier_clock_counts(tmp_path: Path) -> None:
    clocks = Clocks()
    parent, member = clocks.board(tmp_path, reset=True), clocks.board(tmp_path)
    parent.sight(clocks.wall_us + HOUR_US)
    assert member.behind_us() == NEVER, "one says nothing"
    parent.sight(clocks.wall_us - 50)
    assert member.behind_us() == -50
    parent.sight(clocks.wall_us + HOUR_US)
    assert member.behind_us() == -50, "nor does one later"
    parent.sight(clocks.wall_us + HOUR_US + MINUTE_US)
    assert member.behind_us() == HOUR_US
    parent.sight(clocks.wall_us)
    assert member.behind_us() == 0
    assert member.is_clock_watched


def test_a_clock_that_is_set_back_shows_at_once_and_one_that_is_put_right_too(tmp_path: Path) -> None:
    clocks = Clocks()
    board = clocks.board(tmp_path, reset=True)
    for _ in range(2):
        board.sight(clocks.wall_us)
    clocks.pass_us(MINUTE_US)
    assert board.behind_us() == 0
    clocks.wall_us -= HOUR_US
    assert board.behind_us() == HOUR_US
    clocks.wall_us += 2 * HOUR_US
    assert board.behind_us() == -HOUR_US
    clocks.wall_us -= HOUR_US
    assert board.behind_us() == 0


def test_a_record_shows_the_clock_by_itself(tmp_path: Path) -> None:
    clocks = Clocks()
    board = clocks.board(tmp_path, reset=True)
    board.sight_record(clocks.wall_us + HOUR_US)
    assert board.behind_us() == HOUR_US
    assert not board.is_clock_watched
