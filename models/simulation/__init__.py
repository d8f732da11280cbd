"""Simulate calls and outcomes with a known truth, for the demo and the benchmarks."""

from __future__ import annotations

from models.simulation.scenario import DEMO, Scenario
from models.simulation.traffic import SimCalls, SimOutcomes, Traffic, simulate_traffic

__all__ = ["DEMO", "Scenario", "SimCalls", "SimOutcomes", "Traffic", "simulate_traffic"]
