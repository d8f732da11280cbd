"""Decides when the lanes of a process read nothing, and when an epoch may be stored, by the board of the claim."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import timedelta
from typing import Final

from aftercall.durations import format_duration
from aftercall.times import duration_us
from connectors.kafka.claim_board import LEASE_S, ClaimBoard
from connectors.kafka.errors import StoppedWaiting
from connectors.pauses import PAUSES

_POLL_S: Final = 0.005
_CLOCK: Final = ("host_clock", "clock")
_CLAIM: Final = ("claim", "claim")


class Holding:
    """What one process may do. Any thread may ask."""

    def __init__(self, board: ClaimBoard, max_future_skew: timedelta) -> None:
        """`max_future_skew`: how far this host's clock may be behind the broker's."""
        self._board, self._skew_us = board, duration_us(max_future_skew)
        self._allowed = format_duration(max_future_skew)

    def __call__(self) -> bool:
        """Whether lanes must read nothing now; reports the pauses. Some microseconds."""
        behind_us, unconfirmed_s = self._board.behind_us(), self._board.unconfirmed_s()
        is_behind, is_unconfirmed = behind_us > self._skew_us, unconfirmed_s > LEASE_S
        if is_behind:
            PAUSES.begin(*_CLOCK, f"{self._sentence(behind_us)}; nothing is read until it is right")
        else:
            PAUSES.end(*_CLOCK)
        if is_unconfirmed and not PAUSES.is_paused("broker"):  # which says it all
            PAUSES.begin(
                *_CLAIM,
                f"the claim on the topics was not confirmed for {unconfirmed_s:.0f} s; nothing is read until it is",
            )
        else:
            PAUSES.end(*_CLAIM)
        if is_unconfirmed:
            self._board.ask()
        return is_behind or is_unconfirmed

    def too_early(self, appended_us: int) -> bool:
        """Whether a record that the broker appended then has come too early for this host's clock.

        Used where there are no heartbeats that show the broker's clock.
        """
        if self._board.is_clock_watched or appended_us - time.time_ns() // 1000 <= self._skew_us:
            return False
        self._board.sight_record(appended_us)
        return True

    def confirm(
        self,
        beat: Callable[[], None],
        give_up: Callable[[], bool],
        is_cut_off: Callable[[], bool],
        *,
        recent_s: float = 0.0,
    ) -> None:
        """Return once the claim is confirmed as of now, so that an epoch may be stored.

        Args:
            recent_s: a confirmation that is not older than these seconds counts too.
            beat: called while it waits, like the others.
            give_up: True ends it.
            is_cut_off: whether the run ends while no broker answers: its last epoch may be stored then, as all its
                records are acknowledged.

        Raises:
            StoppedWaiting: `give_up` returned True; the epoch must not be stored.
        """
        if self._board.unconfirmed_s() < recent_s:
            return
        asked = self._board.ask()
        while not self._board.is_confirmed(asked) and not is_cut_off():
            if give_up():
                raise StoppedWaiting(
                    "kafka.topics.claims: the claim must be confirmed before the state is stored; it was not by the "
                    "deadline to stop (start again once the broker is back: the last epoch is repeated)"
                )
            beat()
            self()
            time.sleep(_POLL_S)
            self._board.ask_again(asked)

    def _sentence(self, behind_us: int) -> str:
        behind = format_duration(timedelta(seconds=behind_us // 1_000_000))
        return (
            f"the clock of this host is {behind} behind the broker's, and {self._allowed} are allowed "
            "(join.max_future_skew; set the clock)"
        )
