"""Draws groups without a change, whose outcomes are independent or correlated, to test a promise."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from models.arrays import F64


class Stream(NamedTuple):
    """How a group's failure rate varies around its mean.

    Attributes:
        name: the name in tables.
        hourly: intraclass correlation of the outcomes of one hour.
        daily: intraclass correlation of the outcomes of one UTC day.
        cycle: amplitude of a sine over the day, with a random peak for each group.
    """

    name: str
    hourly: float = 0.0
    daily: float = 0.0
    cycle: float = 0.0


STREAMS = (
    Stream("independent"),
    Stream("hourly ICC .01", hourly=0.01),
    Stream("day cycle ±2 points", cycle=0.02),
    Stream("day effects ICC .002", daily=0.002),
    Stream("day effects ICC .005", daily=0.005),
)


class Population(NamedTuple):
    """Mean failure rate and outcomes per day, shape (groups,)."""

    failure: F64
    per_day: F64


def population(groups: int, rng: np.random.Generator) -> Population:
    """Failure rates from Beta(2, 8), traffic from 30 to 10,000 a day, uniform in its logarithm."""
    failure = np.clip(rng.beta(2, 8, groups), 0.003, 0.9)
    return Population(failure, np.exp(rng.uniform(np.log(30), np.log(10_000), groups)))


class Levels:
    """The failure rates of a population, hour by hour."""

    def __init__(self, stream: Stream, people: Population, rng: np.random.Generator) -> None:
        self._stream, self._mean, self._rng = stream, people.failure, rng
        self._day = -1
        self._of_day = people.failure
        self._peak = rng.uniform(0, 24, len(people.failure)) if stream.cycle else np.zeros(0)

    def hour(self, hour: int, rise: float = 0.0) -> F64:
        """Rates in an hour, counted from a midnight; call once per hour, in order. `rise` is added to the mean."""
        stream = self._stream
        if stream.daily and hour // 24 != self._day:
            self._day = hour // 24
            self._of_day = self._drawn(self._mean, stream.daily)
        level = self._of_day + rise
        if stream.cycle:
            level = level + stream.cycle * np.cos(2 * np.pi * (hour - self._peak) / 24)
        if rise or stream.cycle:
            level = np.clip(level, 0.001, 0.999)
        return self._drawn(level, stream.hourly) if stream.hourly else level

    def _drawn(self, mean: F64, correlation: float) -> F64:
        weight = 1 / correlation - 1
        drawn: F64 = self._rng.beta(mean * weight, (1 - mean) * weight)
        return drawn
