"""Tells what moved a score: how much of a difference is each dimension's.

With shares v and rates p, before (') and now, the difference of sum v p is the sum over dimensions of

    (v + v') / 2 (p - p')  +  (v - v') ((p + p') / 2 - (s + s') / 2),

what its rate changed, and what its share changed by taking from or giving to others: the second terms' reference, the
mean score, adds nothing, as shares sum to 1 both times. A dimension with evidence at one time only has the same rate at
both: then only its share moved.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from models.arrays import F64
from models.trust.score import SCALE, row_sums, weight_shares


class Move(NamedTuple):
    """Points of the score that a dimension, by its place, moved."""

    dimension: int
    points: float


def contributions(rate: F64, before: F64, weights: F64) -> F64:
    """Points of each dimension, shape (n, 8); their sums are the differences of the scores.

    nan for rows that have no evidence at one of both times.

    >>> now, before = np.array([[0.90, 0.99]]), np.array([[0.95, 0.99]])
    >>> contributions(now, before, np.array([0.6, 0.4])).round(6).tolist()
    [[-30.0, 0.0]]
    >>> contributions(now, np.array([[0.90, np.nan]]), np.array([0.6, 0.4])).round(6).tolist()
    [[7.2, 28.8]]

    Args:
        rate: shape (n, 8), nan without evidence.
        before: likewise.
        weights: shape (8,).
    """
    v, w = weight_shares(rate, weights), weight_shares(before, weights)
    p, q = _filled(rate, before), _filled(before, rate)
    middle = (row_sums(v * p) + row_sums(w * q))[:, None] / 2
    points = SCALE * ((v + w) / 2 * (p - q) + (v - w) * ((p + q) / 2 - middle))
    both = np.logical_and(v.any(axis=1), w.any(axis=1))
    return np.where(both[:, None], points, np.nan)


def largest_first(points: Sequence[float], least: float = 0.0005) -> list[Move]:
    """The moves of one row that can be seen, the largest first; of equal ones in the order of dimensions."""
    seen = [Move(at, moved) for at, moved in enumerate(points) if abs(moved) >= least]  # never true of nan
    return sorted(seen, key=lambda move: (-abs(move.points), move.dimension))


def _filled(rate: F64, other: F64) -> F64:
    rate = np.where(np.isnan(rate), other, rate)
    return np.where(np.isnan(rate), 0.0, rate)
