"""Holds the newest recommendation of each task type, between the thread that reads and all that ask."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from threading import Event

from aftercall.names import plain_name
from aftercall.routes.recommendations import Recommended


class Table:
    """One thread writes and any number read, without a lock: a reader sees a recommendation whole or not yet.

    Of a task type the greatest `seq` counts, the newest among equals; but one that has expired gives way to any that
    has not: a pipeline that lost its state counts from 1 again.

    Attributes:
        complete: whether the source was read to its end once.
    """

    def __init__(self, clock: Callable[[], float] = time.time) -> None:
        self.complete = False
        self._clock = clock
        self._newest: dict[str, Recommended] = {}
        self._completed = Event()

    def put(self, new: Recommended) -> None:
        """Keep it if it is the newest of its task type."""
        held = self._newest.get(new.task_type)
        if held is None or self._rank(new) >= self._rank(held):
            self._newest[new.task_type] = new

    def remove(self, task_type: str) -> None:
        """Forget a task type, as a tombstone says."""
        self._newest.pop(task_type, None)

    def replace(self, all_of_them: Iterable[Recommended]) -> None:
        """Hold these and no others, the newest of each task type; the source is read to its end then."""
        fresh = Table(self._clock)
        for one in all_of_them:
            fresh.put(one)
        self._newest = fresh._newest
        self.complete_now()

    def complete_now(self) -> None:
        """Note that the source was read to its end."""
        self.complete = True
        self._completed.set()

    def wait(self, timeout_s: float) -> bool:
        """Wait until the source was read to its end; returns whether it was."""
        return self.complete or self._completed.wait(timeout_s)

    def get(self, task_type: str) -> Recommended | None:
        """The newest of a task type, also where its name is spelled with blanks around it or invisible characters."""
        return self._newest.get(task_type) or self._newest.get(plain_name(task_type))

    def after_fork(self) -> None:
        """Forget who waits in the parent; what is known stays."""
        self._completed = Event()

    def _rank(self, one: Recommended) -> tuple[bool, int]:
        return self._clock() < one.valid_until, one.seq
