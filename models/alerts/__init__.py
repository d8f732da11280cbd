"""Make one alert of all alarms that have one cause; update and close it. Records and sentences are made here alone."""

from __future__ import annotations

from models.alerts.alerting import Alerting
from models.alerts.settings import AlertSettings

__all__ = ["AlertSettings", "Alerting"]
