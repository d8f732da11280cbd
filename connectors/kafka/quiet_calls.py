"""Decides when outcomes that wait for calls are no longer worth the room: no call has come for long enough."""

from __future__ import annotations


class QuietCalls:
    """Watches the partitions of calls of one lane. Times are seconds of a monotonic clock."""

    def __init__(self, wait_s: float) -> None:
        """`wait_s`: for how long calls must have stayed away."""
        self._wait_s = wait_s
        self._since_s: float | None = None

    def last_too_long(self, now_s: float, *, moved: bool, blocked: bool) -> bool:
        """Whether calls have stayed away for too long, until one comes.

        Args:
            now_s: the time now.
            moved: whether calls were read just now, or are there to be read.
            blocked: whether outcomes have no room; the time counts from the first moment at which they had none.
        """
        if moved:
            self._since_s = None
        elif self._since_s is None and blocked:
            self._since_s = now_s
        return self._since_s is not None and now_s - self._since_s >= self._wait_s
