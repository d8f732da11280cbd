"""Waits for what must come true. Bounds end a hang and nothing else: a busy machine takes ten times as long."""

from __future__ import annotations

import os
import time
from collections.abc import Callable

HANG_S = 600.0
"""No wait of the suite takes a tenth of that on an idle machine."""


def until(
    holds: Callable[[], bool], seen: Callable[[], object], *, within_s: float = HANG_S, every_s: float = 0.02
) -> None:
    """Return once `holds`; fails with what `seen` gives where that takes longer than a hang may.

    Args:
        holds: asked again and again; it may raise `AssertionError` where waiting on is of no use.
        seen: the state to print, asked for at the end only.
        within_s: in seconds.
        every_s: pause between two questions, in seconds.
    """
    deadline = time.monotonic() + within_s
    while not holds():
        assert time.monotonic() < deadline, f"not within {within_s:g} s; seen: {seen()}"
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
    allowed_s = promised_s * max(1.0, 2.0 * os.getloadavg()[0] / (os.cpu_count() or 1))
    assert took_s < allowed_s, f"took {took_s:.1f} s, {allowed_s:.1f} s are allowed; seen: {seen()}"
