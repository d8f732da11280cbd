"""Waits until the process at the other end of standard input is gone, then kills what that left behind.

    python reaper.py MARK

What was left is every process whose environment at its start has MARK: children inherit it, in whatever session they
are. Linux only; elsewhere there is no /proc and nothing is killed.
"""

from __future__ import annotations

import os
import signal
import sys
import time
from contextlib import suppress
from pathlib import Path

_CLEAN_LOOKS = 3
_PAUSE_S = 0.05


def marked(mark: bytes) -> list[int]:
    """The processes that have the mark; those that end meanwhile, and those of others, are passed over."""
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            if mark in (entry / "environ").read_bytes():
                found.append(int(entry.name))
    return found


def reap(mark: bytes) -> None:
    """Kill until several looks in a row find nothing: what is killed may have been about to start another."""
    clean = 0
    while clean < _CLEAN_LOOKS:
        found = marked(mark)
        clean = 0 if found else clean + 1
        for pid in found:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        time.sleep(_PAUSE_S)


if __name__ == "__main__":
    sys.stdin.buffer.read()
    reap(sys.argv[1].encode())
