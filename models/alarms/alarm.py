"""What a detector found: numbers, no record yet."""

from __future__ import annotations

from typing import NamedTuple

from aftercall.records import Direction, Severity
from models.messages import AnyGroup

Watched = tuple[str, AnyGroup, str]
"""(kind, group, metric): at most one alert is open for each."""


class Alarm(NamedTuple):
    """What a detector found, at event time `at` (microseconds, like all times here).

    `origin` is whatever the detector needs to compare a later alarm with the baseline of this one. `finding` follows
    the group's name in a sentence: "fell from ... to ...". Evidence is finite.
    """

    at: int
    watched: Watched
    direction: Direction
    severity: Severity
    baseline: float
    current: float
    effect_low: float | None
    effect_high: float | None
    changed_at: int
    promise: str | None
    finding: str
    evidence: dict[str, float]
    origin: tuple[float, ...]
