r"""Weighs the rows of a suite by how common their strata are in production, and compares the two success rates.

Direct standardisation (Cochran 1977, Sampling Techniques, section 5A.9, post-stratification): with W_h the share of
production's calls in stratum h, and p_h the pass rate of the suite's n_h rows in it,

    p = sum W_h p_h,    var p = sum W_h^2 p_h (1 - p_h) / n_h

over the strata in which the suite has a row; W_h sums to 1 over these, and what production has elsewhere is reported as
not covered. A stratum that passes everything has no variance by that, so p_h is drawn towards the rate of all rows by
one row. The interval is that of Wilson with p (1 - p) / var p rows, at most as many as there are, as for rates of
surveys (Korn and Graubard 1998, Survey Methodology 24, 193-201). That of the difference to production is Newcombe's
(1998, method 10) of both. Outcomes never make a stratum: a suite weighed by them would agree with production always.
"""

from __future__ import annotations

from typing import Final, NamedTuple

import numpy as np

from models.arrays import F64, I64
from models.stats.intervals import newcombe, wilson

FEWEST_IN_STRATA: Final = 5
"""Rows of the suite from which on a stratum stands by itself."""
ENOUGH_COVERED: Final = 0.9
"""Dimensions are kept while so much of production lies in strata with so many rows."""


class StrataCells(NamedTuple):
    """Rows and calls of the finest strata, shape (cells,) each; no two cells agree in all dimensions."""

    passes: F64
    """Rows of the suite that passed; a row that was run several times counts as its share of passes."""
    rows: F64
    calls: F64
    """Of production, with or without a verdict."""
    successes: F64
    resolved: F64
    """Calls of production with a verdict."""


class WeighedRate(NamedTuple):
    """A rate with its interval of 95 %."""

    value: float
    low: float
    high: float


class Weighed(NamedTuple):
    """The suite under production's weights, beside production.

    Attributes:
        suite: pass rate under production's weights, over the strata that both have.
        plain: pass rate of all rows, each counted once.
        production: success rate over the same strata.
        difference: suite minus production.
        covered: share of production's calls in strata in which the suite has a row.
        weights: of a row in each cell, mean 1 over all rows; 0 where production has no call, or no verdict.
    """

    suite: WeighedRate
    plain: float
    production: WeighedRate
    difference: WeighedRate
    covered: float
    weights: F64


def weigh(cells: StrataCells, design_effect: float = 1.0) -> Weighed | None:
    """Weigh a suite by the strata of production.

    Args:
        cells: strata; coarsen them with `strata_of` first.
        design_effect: of production's outcomes, >= 1: so many of them tell as much as one.

    Returns:
        None where no stratum has both a row and a call with a verdict.

    >>> cells = StrataCells(*(np.array(part, float) for part in ([45, 2], [45, 5], [500, 500], [400, 400], [450, 450])))
    >>> found = weigh(cells)
    >>> round(found.plain, 2), round(found.suite.value, 2), round(found.production.value, 2)
    (0.94, 0.7, 0.89)
    """
    both = (cells.rows > 0) & (cells.resolved > 0) & (cells.calls > 0)
    if not both.any():
        return None
    rows, calls = np.where(both, cells.rows, 0.0), np.where(both, cells.calls, 0.0)
    share = calls / calls.sum()
    plain = float(cells.passes.sum() / cells.rows.sum())
    suite = _weighted(cells.passes, rows, share, plain)
    overall = float(cells.successes[both].sum() / cells.resolved[both].sum())
    production = _weighted(cells.successes, np.where(both, cells.resolved, 0.0), share, overall)
    production = (production[0], production[1] / max(design_effect, 1.0))
    low, high = newcombe(production[0] * production[1], production[1], suite[0] * suite[1], suite[1])
    per_row = np.divide(share, rows, out=np.zeros_like(share), where=rows > 0)
    return Weighed(
        _rate(*suite),
        plain,
        _rate(*production),
        WeighedRate(suite[0] - production[0], float(low), float(high)),
        float(calls.sum() / cells.calls.sum()),
        per_row * cells.rows.sum(),
    )


def _weighted(good: F64, trials: F64, share: F64, overall: float) -> tuple[float, float]:
    """The weighted rate, and of how many trials it is worth."""
    used = trials > 0
    good, trials, share = good[used], trials[used], share[used]
    rate = float(np.sum(share * good / trials))
    drawn = (good + overall) / (trials + 1)
    variance = float(np.sum(share**2 * drawn * (1 - drawn) / trials))
    pooled = float(np.sum(share * drawn))
    total = float(trials.sum())
    return rate, total if variance <= 0 else min(total, pooled * (1 - pooled) / variance)


def _rate(value: float, trials: float) -> WeighedRate:
    low, high = wilson(value * trials, trials)
    return WeighedRate(value, float(low), float(high))


class ChosenStrata(NamedTuple):
    """Which dimensions make the strata, by their numbers, and the stratum of each cell, shape (cells,)."""

    dimensions: tuple[int, ...]
    of: I64


def strata_of(values: I64, rows: F64, calls: F64) -> ChosenStrata:
    """The finest strata of which the suite has rows enough.

    Dimensions are tried all together, then without the last one, and so on; then each by itself. The first choice is
    taken in which 90 % of production's calls lie in strata with five rows of the suite or more. Where there is none,
    all calls are one stratum, and every row has the same weight.

    Args:
        values: of each cell in each dimension, shape (cells, dimensions), the most important dimension first.
        rows: of the suite, per cell.
        calls: of production, per cell.
    """
    count = values.shape[1]
    choices = [tuple(range(kept)) for kept in range(count, 0, -1)] + [(one,) for one in range(1, count)]
    for dimensions in choices:
        _, of = np.unique(values[:, dimensions], axis=0, return_inverse=True)
        of = of.reshape(-1).astype(np.int64)
        enough = np.bincount(of, rows) >= FEWEST_IN_STRATA
        if calls.sum() and np.sum(calls[enough[of]]) >= ENOUGH_COVERED * calls.sum():
            return ChosenStrata(dimensions, of)
    return ChosenStrata((), np.zeros(len(values), np.int64))


def in_strata(cells: StrataCells, of: I64) -> StrataCells:
    """The cells summed by stratum."""
    return StrataCells(*(np.bincount(of, part).astype(np.float64) for part in cells))
