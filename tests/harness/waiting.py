"""Waits for what must come true. Bounds end a hang and nothing else: a busy machine takes ten times as long."""

from __future__ import annotations

import os
import time
from collections.abc import Callable

HANG_S = 600.0
"""No wait of the suite takes a tenth of that on an idle machine."""


STILL_S = 120.0
"""On an idle machine no wait takes half of that; nor is there one in which nothing moves for so long."""
_LOOK_S, _AT_MOST_S = 1.0, 5.0


class Stillness:
    """For how long nothing has moved, in seconds of an idle machine: where threads wait for cores, time counts less."""

    def __init__(self, moves: Callable[[], object]) -> None:
        """`moves`: what changes as long as there is progress; asked once a second."""
        self._moves, self._seen = moves, moves()
        self._looked, self._still_s = time.monotonic(), 0.0

    def seconds(self) -> float:
        """Since it last moved."""
        passed_s = time.monotonic() - self._looked
        if passed_s >= _LOOK_S:
            self._looked += passed_s
            seen = self._moves()
            # A machine that stood still, or did not let this process look, has not let others move either.
            self._still_s = self._still_s + min(passed_s, _AT_MOST_S) / _busy() if seen == self._seen else 0.0
            self._seen = seen
        return self._still_s


def until(
    holds: Callable[[], bool],
    seen: Callable[[], object],
    *,
    within_s: float = HANG_S,
    every_s: float = 0.02,
    moves: Callable[[], object] | None = None,
) -> None:
    """Return once `holds`; fails with what `seen` gives where that takes longer than a hang may.

    Args:
        holds: asked again and again; it may raise `AssertionError` where waiting on is of no use.
        seen: the state to print, asked for at the end only.
        within_s: in seconds.
        every_s: pause between two questions, in seconds.
        moves: what changes as long as there is progress; where it has not for `STILL_S`, the wait fails too.
    """
    deadline = time.monotonic() + within_s
    stillness = None if moves is None else Stillness(moves)
    while not holds():
        assert time.monotonic() < deadline, f"not within {within_s:g} s; seen: {seen()}"
        still_s = 0.0 if stillness is None else stillness.seconds()
        assert still_s < STILL_S, f"nothing has moved for {still_s:.0f} s of an idle machine; seen: {seen()}"
        time.sleep(every_s)


def assert_prompt(began: float, promised_s: float, seen: Callable[[], object]) -> None:
    """What began then has not taken longer than is promised for an idle machine, made longer by this machine's load.

    For the few lengths that are a promise. A thread among `n` per core gets an n-th of it; the factor 2 is for the
    average over a minute, which lags behind.

    Args:
        began: by `time.monotonic`.
        promised_s: in seconds.
        seen: what to print where it took longer.
    """
    took_s = time.monotonic() - began
    allowed_s = promised_s * _busy()
    assert took_s < allowed_s, f"took {took_s:.1f} s, {allowed_s:.1f} s are allowed; seen: {seen()}"


def _busy() -> float:
    """How many times longer than on an idle machine what takes one core may take now; at least 1."""
    return max(1.0, 2.0 * os.getloadavg()[0] / (os.cpu_count() or 1))
