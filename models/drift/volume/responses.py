"""Detect sources that answer less than they did, or no longer."""

from __future__ import annotations

from typing import Any

from models.arrays import F64
from models.drift.settings import DriftSettings
from models.drift.volume.detector import ArrivalDetector, Deviation
from models.drift.volume.rhythm import RhythmicProfiles, Rhythms
from models.drift.volume.weekly_profile import FEWER


class ResponseDetector(ArrivalDetector):
    """Fewer statements than are due, of many (task type, source), each by its own rhythm."""

    def __init__(self, settings: DriftSettings, state: dict[str, Any] | None = None) -> None:
        """Start without series, or from a `state()`."""
        super().__init__(settings, more=False, state=state)
        self._profile: RhythmicProfiles = RhythmicProfiles(FEWER, None if state is None else state["profile"])
        kept = state or {}
        self._quiet: Rhythms = Rhythms(kept.get("quiet"), kept.get("rhythm"))

    def state(self) -> dict[str, Any]:
        """Plain values and arrays; not a copy."""
        return super().state() | {"rhythm": self._quiet.rhythm()}

    def advance_hour(
        self, hour: int, events: F64, exposure: F64, usual: F64, **named: Any
    ) -> list[tuple[int, Deviation]]:
        """See `ArrivalDetector.advance_hour`."""
        self._profile.in_batches = self._quiet.in_batches
        return super().advance_hour(hour, events, exposure, usual, **named)
