"""Whether this process is alive and ready, from what its parts say of themselves."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from datetime import timedelta
from threading import Lock
from typing import Final

RECOVERY_WITHIN_S: Final = 600.0
"""Loading state makes no heartbeat; a process that is still at it after this long counts as stuck."""
SNAPSHOT_BOUND_S: Final = 600.0
"""A snapshot is never too old before this."""
ASK_AGAIN_S: Final = 5.0
"""Checks are asked at most this often, however often we are probed."""

Check = Callable[[], str | None]
"""Asks whether something works now: None, or the reason why not. Must answer within a second or two."""


class Heartbeat:
    """When the dataflow last made progress, or at least was awake waiting for the broker."""

    def __init__(self, monotonic: Callable[[], float] = time.monotonic) -> None:
        """`monotonic` gives seconds; the process counts as awake when this is made."""
        self._monotonic = monotonic
        self._at = monotonic()

    def beat(self) -> None:
        """Called by lanes at every batch, and by sinks while they wait for the broker. Costs some 100 ns."""
        self._at = self._monotonic()

    def age_s(self) -> float:
        """Seconds since the last beat."""
        return self._monotonic() - self._at


class Health:
    """What lanes, sinks and the runner of one process report, and what follows from it.

    One beat of any part counts for all: processes run one worker each. Methods may be called from any thread.
    """

    def __init__(
        self,
        *,
        stalled_after: timedelta,
        snapshot_every: timedelta,
        checks: Mapping[str, Check] | None = None,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        """`checks` are asked by `readyz`, each under the name that its reason begins with."""
        self.heartbeat = Heartbeat(monotonic)
        self._stalled_after_s = stalled_after.total_seconds()
        self._every_s = snapshot_every.total_seconds()
        self._checks = [_Asked(name, check, monotonic) for name, check in (checks or {}).items()]
        self._peers: list[_Asked] = []
        self._monotonic = monotonic
        self._loaded = self._stopping = False
        self._silent: set[str] = set()
        self._snapshot_at: float | None = None
        self._took_s = 0.0

    def loaded(self) -> None:
        """Recovered state is loaded: from now on the heart must beat."""
        self._loaded = True
        self.heartbeat.beat()

    def expects_lane(self, name: str) -> None:
        """A lane of this process was built; it has yet to poll."""
        self._silent.add(name)

    def polled(self, name: str) -> None:
        """A lane had its first answer from the broker, be it an empty one."""
        self._silent.discard(name)

    def expects_snapshots(self) -> None:
        """The snapshot sink was built in this process; its first snapshot is due like any other."""
        self._snapshot_at = self._monotonic()

    def published(self, took_s: float) -> None:
        """A snapshot was published, which took `took_s`."""
        self._snapshot_at, self._took_s = self._monotonic(), took_s

    def watches(self, name: str, *, alive: Check, ready: Check) -> None:
        """Another process of the same pipeline: while it is not alive or ready, neither are we (`peer_health.py`)."""
        self._peers.append(_Asked(name, alive, self._monotonic))
        self._checks.append(_Asked(name, ready, self._monotonic))

    def stopping(self) -> None:
        """The process was told to stop."""
        self._stopping = True

    def not_alive(self) -> list[str]:
        """Reasons to restart this process; none while it is fine.

        A broker that is away is no reason (waiting for it is progress), and neither is stopping, which takes as long as
        the last snapshot takes.
        """
        if self._stopping:
            return []
        # Peers listen before state is loaded, since the processes of a pipeline load it together.
        return [*self._stuck(), *(_reasons(self._peers) if self._loaded else [])]

    def not_ready(self) -> list[str]:
        """Reasons not to count on this process now; none while it is fine."""
        if self._stopping:
            return ["the pipeline is stopping"]
        if not self._loaded:
            return ["state is being loaded"]
        silent = [f"lane {name} has not heard from the broker yet" for name in sorted(self._silent)]
        return [*self._stuck(), *silent, *_reasons(self._checks), *self._snapshot_too_old()]

    def snapshot_bound_s(self) -> float:
        """How old a snapshot may be: at least 10 minutes, 3 intervals, and 20 times what publishing last took.

        Between two publications lie nine times what one takes, so the last covers one that doubles.
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


class _Asked:
    """A check and its last answer."""

    def __init__(self, name: str, check: Check, monotonic: Callable[[], float]) -> None:
        self._name, self._check, self._monotonic = name, check, monotonic
        self._answer: str | None = "has not been asked yet"
        self._at: float | None = None
        self._asking = Lock()

    def reason(self) -> str | None:
        """The answer, asked for again where it is old; while somebody else is asking, the last one."""
        if self._asking.acquire(blocking=False):
            try:
                if self._at is None or self._monotonic() - self._at >= ASK_AGAIN_S:
                    self._answer = self._ask()
                    self._at = self._monotonic()
            finally:
                self._asking.release()
        return None if self._answer is None else f"{self._name}: {self._answer}"

    def _ask(self) -> str | None:
        try:
            return self._check()
        except Exception as error:  # noqa: BLE001 - a probe that fails says why; it must not fail the prober
            return f"{type(error).__name__}: {error}"


def _reasons(checks: list[_Asked]) -> list[str]:
    return [reason for check in checks if (reason := check.reason()) is not None]
