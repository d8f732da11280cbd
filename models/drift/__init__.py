"""Watch success rates, values and volumes of closed minutes for changes.

`success_rate`, `values` and `volume` hold a detector each; `detectors.py` runs them in order.
"""

from __future__ import annotations

from models.drift.detectors import Drift
from models.drift.river_codecs import load_river
from models.drift.settings import DriftSettings, ReadUntil

__all__ = ["Drift", "DriftSettings", "ReadUntil", "load_river"]
