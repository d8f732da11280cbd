"""Join dimensions into one score with an interval.

The score is 1000 times the mean of the dimensions' rates that have evidence, by their weights v, which are scaled to
sum to 1. Its interval is that of the delta method, for a sum that is linear in the rates: with d the distance from a
rate to the lower (upper) end of its own interval in place of 1.96 standard errors, which is right near 1 too (Newcombe
1998, Statistics in Medicine 17, 873-890, for differences; Zou and Donner 2008, 27, 1693-1702, for sums),

    half^2 = sum over i, j of v_i d_i v_j d_j r_ij,

r the correlation of what is known of two dimensions: one call fails several at once.
"""

from __future__ import annotations

from typing import Final, NamedTuple

import numpy as np

from models.arrays import F64
from models.stats.intervals import wilson

SCALE: Final = 1000.0
_LEAST: Final = 0.5
"""Of the variance of independent dimensions: what correlations that were estimated may take away."""


class Rates(NamedTuple):
    """Rates of dimensions with their 95 % intervals, nan without evidence, and the checks behind; shape (n, 8)."""

    rate: F64
    low: F64
    high: F64
    checks: F64


class ScoreEstimates(NamedTuple):
    """Of rows, shape (n,): score and interval in [0, 1000], nan without any evidence; coverage in [0, 1]."""

    score: F64
    low: F64
    high: F64
    coverage: F64


def rates_of(passed: F64, checked: F64, effect: F64) -> Rates:
    """Rates of counts that have aged, by Wilson on counts divided by their design effect.

    There is evidence from one independent check on. After eight weeks without any, at a half-life of 14 days, 1,000
    checks weigh as 62, and half the interval is 56 points where it was 13 (by the standard error alone, 53):

    >>> fresh = rates_of(np.array([955.0]), np.array([1000.0]), np.ones(1))
    >>> aged = rates_of(np.array([955.0]) * 0.5**4, np.array([1000.0]) * 0.5**4, np.ones(1))
    >>> [(round(float(of.checks[0]), 1), round(float(500 * (of.high - of.low)[0]))) for of in (fresh, aged)]
    [(1000.0, 13), (62.5, 56)]

    Args:
        passed: shape (n, 8), and so are the others; at most `checked`.
        checked: >= 0.
        effect: >= 1.
    """
    known = checked >= effect
    counted = np.where(known, checked, 1.0)
    low, high = wilson(passed / effect, counted / effect)
    rate, low, high = (np.where(known, part, np.nan) for part in (passed / counted, low, high))
    return Rates(rate, low, high, checked)


def weight_shares(rate: F64, weights: F64) -> F64:
    """The weights of dimensions with evidence, scaled to sum to 1; zeros where none has any. Shape (n, 8)."""
    kept = np.where(np.isnan(rate), 0.0, weights)
    total = row_sums(kept)[:, None]
    return np.divide(kept, total, out=np.zeros_like(kept), where=total > 0)


def scores_of(rates: Rates, weights: F64, correlation: F64) -> ScoreEstimates:
    """Scores of rows.

    >>> alike = rates_of(np.array([[90.0, 90.0]]), np.array([[100.0, 100.0]]), np.ones((1, 2)))
    >>> apart, together = np.eye(2)[None], np.ones((1, 2, 2))
    >>> [round(float(scores_of(alike, np.array([0.5, 0.5]), r).low[0])) for r in (apart, together)]
    [847, 826]

    Args:
        rates: of n rows and k dimensions.
        weights: shape (k,), with sum 1.
        correlation: shape (n, k, k), 1 on the diagonal.
    """
    share = weight_shares(rates.rate, weights)
    some = share.any(axis=1)
    score = row_sums(share * _known(rates.rate))
    ends = []
    for end in (rates.low, rates.high):
        part = share * np.abs(_known(rates.rate) - _known(end))
        pairs = row_sums((part[:, :, None] * part[:, None, :] * correlation).reshape(len(part), -1))
        ends.append(np.sqrt(np.maximum(pairs, _LEAST * row_sums(part**2))))
    low, high = np.maximum(score - ends[0], 0.0), np.minimum(score + ends[1], 1.0)
    coverage = row_sums(np.where(np.isnan(rates.rate), 0.0, weights))
    score, low, high = (np.where(some, SCALE * part, np.nan) for part in (score, low, high))
    return ScoreEstimates(score, low, high, coverage)


def greatest_correlation(rate: F64, checks: F64) -> F64:
    """What the correlation of two rates can be at most, shape (n, k, k): who fails the rarer fails the other too.

    That of two events of one call is bounded by their rates (Frechet 1951); where one is checked in fewer calls than
    the other, these are among the others.
    """
    odds = np.clip(1 - _known(rate), 1e-9, 1 - 1e-9) / np.clip(_known(rate), 1e-9, 1 - 1e-9)
    ratio = np.sqrt(odds[:, :, None] / odds[:, None, :])
    some = np.maximum(checks, 1e-9)
    fewer = np.sqrt(some[:, :, None] / some[:, None, :])
    bound: F64 = np.minimum(ratio, 1 / ratio) * np.minimum(fewer, 1 / fewer)
    return bound


def row_sums(values: F64) -> F64:
    """Sums of rows from left to right: `sum` may add in another order for another shape."""
    summed: F64 = np.cumsum(values, axis=1)[:, -1]
    return summed


def _known(values: F64) -> F64:
    return np.where(np.isnan(values), 0.0, values)
