"""Detect sources that answer less than they did, or no longer.

Calls alone make calls due; statements are due of calls, so they vary less, and a fall to two thirds is reported.
"""

from __future__ import annotations

from typing import Any, ClassVar, Final

import numpy as np

from models.arrays import F64
from models.drift.settings import DriftSettings
from models.drift.volume.detector import ArrivalDetector, Deviation
from models.drift.volume.rhythm import RhythmicProfiles, Rhythms

_HALF: Final = 0.5
"""What a fall to a part multiplies a rate by, beside the ratios of all detectors of arrivals."""


class ResponseDetector(ArrivalDetector):
    """Fewer statements than are due, of many (task type, source), each by its own rhythm."""

    _LEAST: ClassVar = 1.5

    def __init__(self, settings: DriftSettings, state: dict[str, Any] | None = None) -> None:
        """Start without series, or from a `state()`."""
        super().__init__(settings, more=False, state=state)
        kept = state or {}
        self._quiet: Rhythms = Rhythms(kept.get("quiet"), kept.get("rhythm"))

    def _profiles(self, ratios: F64, state: dict[str, F64] | None) -> RhythmicProfiles:
        self._rhythmic = RhythmicProfiles(np.append(ratios, _HALF), state)
        return self._rhythmic

    def state(self) -> dict[str, Any]:
        """Plain values and arrays; not a copy."""
        return super().state() | {"rhythm": self._quiet.rhythm()}

    def advance_hour(
        self, hour: int, events: F64, exposure: F64, usual: F64, **named: Any
    ) -> list[tuple[int, Deviation]]:
        """See `ArrivalDetector.advance_hour`."""
        self._rhythmic.in_batches = self._quiet.in_batches
        return super().advance_hour(hour, events, exposure, usual, **named)
