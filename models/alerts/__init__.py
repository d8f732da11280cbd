"""Make one alert of all alarms that have one cause; update and close it."""

from __future__ import annotations

from models.alerts.alerting import Alerting

__all__ = ["Alerting"]
