"""Composes the line that `aftercall run` shows on a terminal: how fast it reads, how far behind it is, what waits."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

from connectors.metrics import Figures


class StatusLine:
    """Compares the figures of process 0 with those a moment ago."""

    def __init__(self, processes: int = 1, monotonic: Callable[[], float] = time.monotonic) -> None:
        """`processes`: of the run; `monotonic` gives seconds."""
        self._processes, self._monotonic = processes, monotonic
        self._at_s, self._records = monotonic(), 0.0

    def text(self, now: Figures, pauses: Sequence[str]) -> str:
        """The line, most important parts first, as a narrow terminal cuts its end. `pauses`: causes."""
        at_s = self._monotonic()
        rate = (now.records - self._records) / max(at_s - self._at_s, 1e-3)
        self._at_s, self._records = at_s, now.records
        parts = [
            f"process 0 of {self._processes}" if self._processes > 1 else "",
            f"paused: {', '.join(pauses)}" if pauses else "",
            f"{rate:,.0f} records/s",
            "" if now.lag is None else f"{now.lag:,.0f} behind",
            "" if now.open_alerts is None else f"{now.open_alerts:.0f} open alerts",
            "" if now.pending is None else f"{now.pending:,.0f} calls pending",
            "" if now.snapshot_age_s is None else f"snapshot {now.snapshot_age_s:.0f} s old",
        ]
        return " | ".join(filter(None, parts))
