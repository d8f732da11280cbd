"""Makes suites of rows that are steady, always fail, or are flaky, as their probabilities to fail in one run."""

from __future__ import annotations

from typing import Final

import numpy as np

from models.arrays import F64

SETS: Final = tuple((rows, flaky) for rows in (50, 200) for flaky in (0.0, 0.1, 0.3))
"""Rows, and the share of them that is flaky."""


def suite(rng: np.random.Generator, rows: int, flaky: float) -> F64:
    """A share of the rows fails in 10 to 70 % of their runs; of the others 97 % fail in .5 %, the rest in 98 %."""
    settled = np.where(rng.random(rows) < 0.97, 0.005, 0.98)
    return np.where(rng.random(rows) < flaky, rng.uniform(0.1, 0.7, rows), settled)


def with_broken(failing: F64, count: int) -> F64:
    """The same suite after so many of its steady rows broke: they always fail."""
    broken = failing.copy()
    broken[np.flatnonzero(failing < 0.01)[:count]] = 1.0
    return broken
