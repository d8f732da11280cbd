"""Watch success rates, values and volumes of closed minutes for changes.

`success_rate`, `values` and `volume` hold a detector each; `detectors.py` runs them in order.
"""

from __future__ import annotations

from models.drift.calendar import UTC as UTC_ZONE
from models.drift.calendar import Calendar, Planned, Zone
from models.drift.detectors import Drift
from models.drift.river_codecs import load_river
from models.drift.settings import DriftSettings, ReadUntil
from models.drift.success_rate.detector import SuccessRateDetector
from models.drift.success_rate.suspicions import SUSPICION_ODDS, Suspicions
from models.drift.volume.arms import MuteArms
from models.drift.volume.detector import ArrivalDetector
from models.drift.volume.volume import Volume

__all__ = [
    "SUSPICION_ODDS",
    "UTC_ZONE",
    "ArrivalDetector",
    "Calendar",
    "Drift",
    "DriftSettings",
    "MuteArms",
    "Planned",
    "ReadUntil",
    "SuccessRateDetector",
    "Suspicions",
    "Volume",
    "Zone",
    "load_river",
]
