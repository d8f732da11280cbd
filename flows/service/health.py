"""Decides whether this process is alive and ready, from what its parts report."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from datetime import timedelta
from threading import Lock
from typing import Final

from connectors.pauses import Pauses

RECOVERY_WITHIN_S: Final = 600.0
"""Loading state emits no heartbeat; a process that is still loading after this time counts as stuck."""
SNAPSHOT_BOUND_S: Final = 600.0
"""A younger snapshot is never too old."""
ASK_AGAIN_S: Final = 5.0
"""A check runs at most once in this time, however often the probes come."""

Check = Callable[[], str | None]
"""Returns None if something works now, otherwise the reason why not. Must return within a second or two."""


class Heartbeat:
    """Records when the dataflow last made progress, or at least was waiting for the broker."""

    def __init__(self, monotonic: Callable[[], float] = time.monotonic) -> None:
        """`monotonic` returns seconds; the first beat is the creation of this object."""
        self._monotonic = monotonic
        self._at = monotonic()

    def beat(self) -> None:
        """Record progress. Lanes call this at every batch, sinks while they wait for the broker. About 100 ns."""
        self._at = self._monotonic()

    def age_s(self) -> float:
        """Seconds since the last beat."""
        return self._monotonic() - self._at


class Health:
    """Collects what lanes, sinks and the runner of one process report; answers both probes from it.

    One heartbeat of any part counts for all, because each process runs one worker. Methods may be called from any
    thread.
    """

    def __init__(
        self,
        *,
        stalled_after: timedelta,
        snapshot_every: timedelta,
        checks: Mapping[str, Check] | None = None,
        pauses: Pauses | None = None,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        """Start without state loaded.

        Args:
            stalled_after: the longest time without progress.
            snapshot_every: interval between publications.
            checks: run for `/readyz`; the key is the first word of the check's reason.
            pauses: a process that waits is not ready; None: of this process nothing waits.
            monotonic: returns seconds.
        """
        self.heartbeat = Heartbeat(monotonic)
        self._stalled_after_s = stalled_after.total_seconds()
        self._every_s = snapshot_every.total_seconds()
        self._checks = [_CachedCheck(name, check, monotonic) for name, check in (checks or {}).items()]
        self._peers: list[_CachedCheck] = []
        self._pauses = pauses
        self._monotonic = monotonic
        self._loaded = self._stopping = False
        self._not_polled: set[str] = set()
        self._snapshot_at: float | None = None
        self._took_s = 0.0

    def loaded(self) -> None:
        """Record that the recovered state is loaded: from now on heartbeats must come."""
        self._loaded = True
        self.heartbeat.beat()

    def not_loaded(self) -> None:
        """Record that state begins to be loaded, after waiting for something else; no heartbeat need come."""
        self._loaded = False
        self.heartbeat.beat()

    def expects_lane(self, name: str) -> None:
        """Record that a lane of this process was built; it has not polled the broker so far."""
        self._not_polled.add(name)

    def polled(self, name: str) -> None:
        """Record that a lane had its first answer from the broker, which may be empty."""
        self._not_polled.discard(name)

    def expects_snapshots(self) -> None:
        """Record that the snapshot sink was built in this process; the age of its snapshot counts from now."""
        self._snapshot_at = self._monotonic()

    def published(self, took_s: float) -> None:
        """Record that a snapshot was published, which took `took_s` seconds."""
        self._snapshot_at, self._took_s = self._monotonic(), took_s

    def add_peer(self, name: str, *, alive: Check, ready: Check) -> None:
        """Add another process of the pipeline: while it is not alive or ready, neither is this (`peer_health.py`)."""
        self._peers.append(_CachedCheck(name, alive, self._monotonic))
        self._checks.append(_CachedCheck(name, ready, self._monotonic))

    def stopping(self) -> None:
        """Record that the process has begun to stop."""
        self._stopping = True

    def not_alive(self) -> list[str]:
        """Reasons to restart this process; empty while it is healthy.

        An unreachable broker is no reason, because waiting for it counts as progress. Stopping is no reason either; it
        takes as long as the last snapshot takes.
        """
        if self._stopping:
            return []
        # A process listens before it loads its state, and all load at the same time: by now the peers listen.
        return [*self._stuck(), *(_reasons(self._peers) if self._loaded else [])]

    def not_ready(self) -> list[str]:
        """Reasons not to rely on this process now; empty while it is ready."""
        if self._stopping:
            return ["the pipeline is stopping"]
        waiting = [] if self._pauses is None else self._pauses.reasons()
        if not self._loaded:
            return ["state is being loaded", *waiting]
        not_polled = [f"lane {name} has had no answer from the broker so far" for name in sorted(self._not_polled)]
        return [*self._stuck(), *waiting, *not_polled, *_reasons(self._checks), *self._snapshot_too_old()]

    def snapshot_bound_s(self) -> float:
        """How old a snapshot may be: the largest of 10 minutes, 3 intervals, and 20 times the last publication.

        The pause after a publication is nine times its duration, so the last term allows the next one to take twice
        as long.
        """
        return max(SNAPSHOT_BOUND_S, 3 * self._every_s, 20 * self._took_s)

    def _stuck(self) -> list[str]:
        age_s = self.heartbeat.age_s()
        if not self._loaded:
            if age_s <= RECOVERY_WITHIN_S:
                return []
            return [f"state is still being loaded after {age_s:.0f} s; {RECOVERY_WITHIN_S:.0f} s are allowed"]
        if age_s <= self._stalled_after_s:
            return []
        allowed = f"{self._stalled_after_s:.0f} s are allowed (service.stalled_after)"
        return [f"the dataflow has made no progress for {age_s:.0f} s; {allowed}"]

    def _snapshot_too_old(self) -> list[str]:
        if self._snapshot_at is None:
            return []
        age_s, bound_s = self._monotonic() - self._snapshot_at, self.snapshot_bound_s()
        return [f"no snapshot was published for {age_s:.0f} s; {bound_s:.0f} s are allowed"] if age_s > bound_s else []


class _CachedCheck:
    """A check and its last answer, which is at most `ASK_AGAIN_S` old."""

    def __init__(self, name: str, check: Check, monotonic: Callable[[], float]) -> None:
        self._name, self._check, self._monotonic = name, check, monotonic
        self._answer: str | None = "the check has not run so far"
        self._at: float | None = None
        self._running = Lock()

    def reason(self) -> str | None:
        """Run the check if its answer is old; while another thread runs it, return the last answer."""
        if self._running.acquire(blocking=False):
            try:
                if self._at is None or self._monotonic() - self._at >= ASK_AGAIN_S:
                    self._answer = self._run()
                    self._at = self._monotonic()
            finally:
                self._running.release()
        return None if self._answer is None else f"{self._name}: {self._answer}"

    def _run(self) -> str | None:
        try:
            return self._check()
        except Exception as error:  # noqa: BLE001 - the reason reports it; the probe must still be answered
            return f"{type(error).__name__}: {error}"


def _reasons(checks: list[_CachedCheck]) -> list[str]:
    return [reason for check in checks if (reason := check.reason()) is not None]
