"""Runs functions of the user on a thread of its own, each for a second; a thread that takes longer is replaced."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from time import monotonic
from typing import Final, NamedTuple

from aftercall.contracts.code import RUN_S, TOO_LONG
from aftercall.contracts.results import Finding, in_error

MOST_RUNS: Final = 200
"""So many runs wait; further ones are errors at once."""
MOST_LEFT: Final = 8
"""So many threads may be held by runs that took too long: Python cannot end them. With more, nothing is run."""
TOO_MANY: Final = f"not run: {MOST_RUNS} earlier runs wait"
STUCK: Final = f"not run: {MOST_LEFT} earlier runs have not ended"
NO_THREAD: Final = "not run: no thread could be started"
LATE: Final = "not run in time: earlier runs took too long"
ENDED: Final = "not run: the guard was closed, or the process ended"


class Run(NamedTuple):
    """A function to run, and what gets its finding: on that thread, or on the one that gave it up."""

    work: Callable[[], Finding]
    then: Callable[[Finding], None]
    until: float
    """By the monotonic clock; later it is not begun."""


class _Thread:
    """A thread and the run that it is in; `left`: it was given up."""

    def __init__(self) -> None:
        self.run: Run | None = None
        self.began = 0.0
        self.left = False


class Runner:
    """One thread at a time. The worker calls `watch` for as long as it is `busy`."""

    def __init__(self) -> None:
        self._lock = threading.RLock()
        self._runs: deque[Run] = deque()
        self._come = threading.Semaphore(0)
        self._current: _Thread | None = None
        self._closed = False
        self.slow = self.left = 0
        """How many runs took too long, and how many threads they still hold."""

    @property
    def busy(self) -> bool:
        """Whether there are runs that wait or are under way."""
        current = self._current
        return bool(self._runs) or (current is not None and current.run is not None)

    def put(self, run: Run) -> None:
        """Run it soon; where that cannot be, its finding is an error, now."""
        with self._lock:
            refusal = self._refusal()
            if refusal is None:
                self._runs.append(run)
        if refusal is not None:
            run.then(in_error(refusal))
            return
        self._come.release()
        self._see_to_a_thread()

    def _refusal(self) -> str | None:
        if self._closed:
            return ENDED
        if self.left >= MOST_LEFT:
            return STUCK
        return TOO_MANY if len(self._runs) >= MOST_RUNS else None

    def watch(self) -> None:
        """Give a thread up whose run takes too long."""
        with self._lock:
            current = self._current
            if current is None or current.run is None or monotonic() < current.began + RUN_S:
                return
            run, current.left, self._current = current.run, True, None
            self.left += 1
            self.slow += 1
        run.then(in_error(TOO_LONG))
        if self.left >= MOST_LEFT:
            self._refuse_waiting(STUCK)
        elif self._runs:
            self._see_to_a_thread()

    def close(self) -> None:
        """Refuse all that waits, and let the thread end."""
        self._closed = True
        self._refuse_waiting(ENDED)
        self._come.release()

    def _refuse_waiting(self, why: str) -> None:
        """All that wait are errors."""
        while True:
            with self._lock:
                if not self._runs:
                    return
                run = self._runs.popleft()
            run.then(in_error(why))

    def _see_to_a_thread(self) -> None:
        with self._lock:
            if self._current is not None:
                return
            current = self._current = _Thread()
        try:
            threading.Thread(target=self._work, args=(current,), name="aftercall code", daemon=True).start()
        except Exception:  # noqa: BLE001  # too many threads, or the interpreter is about to end
            self._current = None
            self._refuse_waiting(NO_THREAD)

    def _work(self, current: _Thread) -> None:
        while not self._closed:
            self._come.acquire()
            run = self._begun(current)
            if run is None:
                continue
            finding = run.work() if monotonic() <= run.until else in_error(LATE)
            with self._lock:
                current.run = None
                if current.left:
                    self.left -= 1
                    return
            with suppress(Exception):  # a defect of ours must not end the thread
                run.then(finding)

    def _begun(self, current: _Thread) -> Run | None:
        with self._lock:
            if not self._runs:
                return None
            current.run, current.began = self._runs.popleft(), monotonic()
            return current.run
