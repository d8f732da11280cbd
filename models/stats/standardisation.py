"""Split the change of a rate into what a changed mix of traffic gives, and what changed within its strata.

Direct standardisation, one dimension after the other (Kitagawa 1955, Components of a difference between two rates,
JASA 50, 1168-1194): a dimension's part is what the rates from before give at the mix since, less what they give at the
mix of the dimensions before it alone. The parts sum to the change. Intervals are by the delta method, of binomial
rates and multinomial mixes; days or sessions that agree make them too narrow.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, NamedTuple

import numpy as np

from models.arrays import F64, I64, Bools
from models.stats.intervals import Z_99

FEWEST_IN_STRATUM: Final = 20
"""Trials before and since, each, from which on a stratum stands by itself; see `stands_alone`."""


class Part(NamedTuple):
    """Points of success rate that a part gives, and their interval of 99 %."""

    points: float
    low: float
    high: float


class Mix(NamedTuple):
    """What one dimension's mix gives, and per cell, shape (cells,): its gain, its share before and its share since.

    The gains sum to the points. Shares before are those at the mix since of the dimensions before it.
    """

    part: Part
    gain: F64
    before: F64
    since: F64


class Split(NamedTuple):
    """A `Mix` per dimension, and the part within the cells. All together they are the change."""

    mixes: list[Mix]
    within: Part


class Cells(NamedTuple):
    """Failures and trials before and since of the finest strata, shape (cells,) each."""

    f0: F64
    n0: F64
    f1: F64
    n1: F64


class _Level(NamedTuple):
    """Strata of one fineness: the stratum of each cell; success rate before and its variance, per cell."""

    of: I64
    rate: F64
    variance: F64
    n0: F64


def split(cells: Cells, leaf: I64, dimensions: Sequence[I64]) -> Split | None:
    """Split the change of the success rate over all cells.

    Of a leaf without trials before, the rate is what the others had, at their mix since, as in
    `models.stats.effect_size`: that it is new is no matter of the mix. Within a leaf, what is new is: the rate of a
    cell without trials before is that since.

    Args:
        cells: no two of them agree in all dimensions.
        leaf: of each cell; some first ones of the dimensions tell leaves apart, all before them are coarser.
        dimensions: the value of each cell, by dimension.

    Returns:
        None where no leaf has trials on both sides. O(dimensions * cells * log(cells)).

    >>> old = np.array([100.0, 500.0]), np.array([1000.0, 1000.0])  # half of them fail by 10 %, half by 50 %
    >>> more = np.array([50.0, 750.0]), np.array([500.0, 1500.0])  # now three in four are of the second kind
    >>> found = split(Cells(*old, *more), np.array([0, 0]), [np.array([0, 1])])
    >>> round(found.mixes[0].part.points, 3), round(found.within.points, 3)
    (-0.1, 0.0)
    """
    usual = _usual(cells, leaf)
    if usual is None:
        return None
    imputed = _imputed(cells, leaf, usual)
    share = cells.n1 / cells.n1.sum()
    outer, mixes = _level(cells, np.zeros(len(leaf), np.int64), imputed), []
    for values in dimensions:
        inner = _level(cells, _both(outer.of, values), imputed)
        mixes.append(_mix(cells, share, outer, inner))
        outer = inner
    rate, variance = _rate(cells.f1, cells.n1)
    change = np.where(cells.n1 > 0, rate - outer.rate, 0.0)
    spread = _multinomial(share, change) / cells.n1.sum() + (share**2 * (outer.variance + variance)).sum()
    return Split(mixes, _part(float((share * change).sum()), float(spread)))


def stands_alone(cells: Cells, leaf: I64, fewest: int = FEWEST_IN_STRATUM) -> Bools:
    """Which cells have enough trials on both sides to stand by themselves, shape (cells,).

    The others of a leaf are best taken together. A leaf's cells that have none at all before are enough with those
    since: they are new.
    """
    new = (cells.n0 == 0) & (_sums(leaf, cells.n0)[leaf] > 0)
    enough: Bools = (cells.n1 >= fewest) & ((cells.n0 >= fewest) | new)
    return enough


def _usual(cells: Cells, leaf: I64) -> float | None:
    """The rate that leaves with trials on both sides had, at their mix since."""
    f0, n0, n1 = (_sums(leaf, part) for part in (cells.f0, cells.n0, cells.n1))
    known = (n0 > 0) & (n1 > 0)
    if not known.any():
        return None
    return float((n1[known] * (1 - f0[known] / n0[known])).sum() / n1[known].sum())


def _imputed(cells: Cells, leaf: I64, usual: float) -> tuple[F64, F64]:
    """Rate before, and its variance, of cells without trials then."""
    rate, variance = _rate(cells.f1, cells.n1)
    new = _sums(leaf, cells.n0)[leaf] <= 0
    return np.where(new | (cells.n1 <= 0), usual, rate), np.where(new | (cells.n1 <= 0), 0.0, variance)


def _level(cells: Cells, of: I64, imputed: tuple[F64, F64]) -> _Level:
    f0, n0 = (_sums(of, part) for part in (cells.f0, cells.n0))
    rate, variance = _rate(f0, n0)
    there = n0[of] > 0
    return _Level(of, np.where(there, rate[of], imputed[0]), np.where(there, variance[of], imputed[1]), n0[of])


def _mix(cells: Cells, share: F64, outer: _Level, inner: _Level) -> Mix:
    difference = inner.rate - outer.rate
    weight = _sums(outer.of, share)[outer.of]
    there = outer.n0 > 0
    before = np.where(there, weight * cells.n0 / np.where(there, outer.n0, 1.0), share)
    moved = share - before
    spread = _multinomial(share, difference) / cells.n1.sum()
    within = before * inner.rate**2 - before * outer.rate**2  # per outer stratum weight times variance of the rates
    spread += float((within * weight / np.where(there, outer.n0, 1.0))[there].sum())
    one = _first(inner.of)
    spread += float((_sums(inner.of, moved)[inner.of] ** 2 * inner.variance)[one].sum())
    return Mix(_part(float((moved * difference).sum()), spread), moved * difference, before, share)


def _rate(f: F64, n: F64) -> tuple[F64, F64]:
    """Success rate and its variance, of rates that never are 0 or 1 (Agresti and Coull 1998); 0 without trials."""
    some = np.where(n > 0, n, 1.0)
    near = (f + 2) / (n + 4)
    return np.where(n > 0, 1 - f / some, 0.0), np.where(n > 0, near * (1 - near) / some, 0.0)


def _multinomial(share: F64, value: F64) -> float:
    """Variance of a value over one draw."""
    mean = float((share * value).sum())
    return float((share * value**2).sum()) - mean**2


def _part(points: float, variance: float) -> Part:
    half = Z_99 * max(variance, 0.0) ** 0.5
    return Part(points, points - half, points + half)


def _both(of: I64, values: I64) -> I64:
    # As one number: to sort pairs takes ten times as long.
    _, place = np.unique(of * (values.max(initial=0) + 1) + values, return_inverse=True)
    return place.ravel().astype(np.int64)


def _first(of: I64) -> I64:
    _, first = np.unique(of, return_index=True)
    return first.astype(np.int64)


def _sums(of: I64, part: F64) -> F64:
    return np.bincount(of, part).astype(np.float64)
