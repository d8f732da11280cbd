"""Keeps what agents print out of what the command prints."""

from __future__ import annotations

import contextlib
import os
import sys
import threading
from collections.abc import Iterator


@contextlib.contextmanager
def prints_to_stderr() -> Iterator[None]:
    """All that this process writes to standard output goes to standard error meanwhile, that of libraries in C too."""
    sys.stdout.flush()
    kept = os.dup(1)
    try:
        os.dup2(2, 1)
        with contextlib.redirect_stdout(sys.stderr):
            yield
    finally:
        os.dup2(kept, 1)
        os.close(kept)


def end_despite_threads(code: int) -> None:
    """End the process here where an agent has left threads that would keep it from ending; else do nothing."""
    left = [one for one in threading.enumerate() if not one.daemon and one is not threading.main_thread()]
    if left:
        what = "1 thread running, which is" if len(left) == 1 else f"{len(left)} threads running, which are"
        sys.stderr.write(f"aftercall: the agent left {what} ended with the command\n")
        sys.stderr.flush()
        sys.stdout.flush()
        os._exit(code)
