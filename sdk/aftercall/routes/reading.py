"""Reads a source on a thread of its own, and logs what a program should know, once."""

from __future__ import annotations

import time
from collections import deque
from threading import Event, Thread
from typing import Final

from aftercall.routes.arms import Reason
from aftercall.routes.source import Reader, RecommendationSource
from aftercall.routes.table import Table

_POLL_S: Final = 0.25
_AGAIN_S: Final = 1.0
_MOST_LOGGED: Final = 1_000
"""Task types whose defaults are logged; more are names made of ids."""
_SENTENCES: Final[dict[Reason, str]] = {
    "not_ready": "the recommendations have not been read yet",
    "expired": "the newest recommendation has expired; is the pipeline running?",
    "unknown_task": "there is no recommendation for it, or for the segment that was asked for",
    "invalid": "the weights of its recommendation are broken, no allowed arm has one, or an argument is wrong",
}


class Reading:
    """A thread that keeps a table up to date until it is closed; nothing that it meets ends it.

    Args:
        source: what it reads.
        table: what it writes.
    """

    def __init__(self, source: RecommendationSource, table: Table) -> None:
        self._source, self._table = source, table
        self._ending = Event()
        self._thread: Thread | None = None
        self._start_at = 0.0
        self._reasons: dict[str, Reason] = {}
        self._to_log: deque[tuple[str, Reason]] = deque()
        self._trouble: str | None = None

    def start(self) -> None:
        """Start the thread. Where the system refuses one, `defaulted` tries again a second later."""
        thread = Thread(target=self._run, name="aftercall-routes", daemon=True)
        self._start_at = time.monotonic() + _AGAIN_S
        try:
            thread.start()
        except RuntimeError:
            return
        self._thread = thread

    def close(self, timeout_s: float) -> None:
        """End the thread, waiting at most so many seconds."""
        self._ending.set()
        if self._thread is not None and timeout_s > 0:
            self._thread.join(timeout_s)

    def followed(self, task_type: str) -> None:
        """A recommendation was followed: the next default of its task type is news again."""
        if self._reasons:
            self._reasons.pop(task_type, None)

    def defaulted(self, task_type: str, reason: Reason) -> None:
        """A default was given; the thread logs it unless it has."""
        if self._reasons.get(task_type) != reason and len(self._reasons) < _MOST_LOGGED:
            self._reasons[task_type] = reason
            self._to_log.append((task_type, reason))
        if self._thread is None and not self._ending.is_set() and 0 < self._start_at <= time.monotonic():
            self.start()

    def _run(self) -> None:
        reader: Reader | None = None
        while not self._ending.is_set():
            try:
                reader = reader or self._source.open()
                self._note(reader.poll(self._table, _POLL_S))
            except Exception as wrong:  # noqa: BLE001 - the program goes on with what is known
                self._note(f"{type(wrong).__name__}: {wrong}")
                _close(reader)
                reader = None
                self._ending.wait(_AGAIN_S)
            self._log_defaults()
        _close(reader)

    def _note(self, trouble: str | None) -> None:
        if trouble is not None and self._trouble is None:
            _warn("recommendations cannot be read, those known count until they expire: %s", trouble)
        self._trouble = trouble

    def _log_defaults(self) -> None:
        while self._to_log:
            task_type, reason = self._to_log.popleft()
            _warn("calls of %r get the default arm: %s", task_type, _SENTENCES[reason])


def _close(reader: Reader | None) -> None:
    try:
        if reader is not None:
            reader.close()
    except Exception as wrong:  # noqa: BLE001 - it is not used again
        _warn("recommendations: a source did not close: %s", wrong)


def _warn(sentence: str, *values: object) -> None:
    import logging

    logging.getLogger("aftercall.routes").warning(sentence, *values)
