"""Recommend where the next calls of each task type should go."""

from __future__ import annotations

from models.routing.routing import Routing, RoutingSettings, TaskRouting

__all__ = ["Routing", "RoutingSettings", "TaskRouting"]
