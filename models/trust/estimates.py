"""What is known of rows at an instant: rates of their dimensions with intervals, and scores."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from models.arrays import F64, I64, Bools
from models.stats.delay_correction import Corrected, Expected, correct
from models.trust.dimensions import ACCURACY
from models.trust.dispersion import DayDispersion
from models.trust.score import Rates, ScoreEstimates, rates_of, scores_of


class Estimates(NamedTuple):
    """Of rows."""

    rates: Rates
    scores: ScoreEstimates


def estimates(
    counts: F64,
    effect: F64,
    pool: I64,
    dispersion: DayDispersion,
    expected: tuple[F64, F64, F64, F64],
    known: Bools,
    weights: F64,
) -> Estimates:
    """Rates and scores.

    Args:
        counts: passed and checked, aged, shape (2, n, 8); a verdict that was taken back may leave less than nothing.
        effect: design effects of verdicts, shape (n,).
        pool: of `dispersion`, shape (n,).
        dispersion: what days have shown.
        expected: verdicts expected to have come, see `models.trust.delays`, shape (n,) each.
        known: whether these rest on enough; without them there is no evidence of accuracy.
        weights: shape (8,).
    """
    checked = np.maximum(counts[1], 0.0)
    passed = np.clip(counts[0], 0.0, checked)
    rate = np.divide(passed, checked, out=np.full_like(passed, np.nan), where=checked > 0)
    wider, correlation = dispersion.of(pool, effect, rate, checked)
    wider[:, ACCURACY] = np.maximum(wider[:, ACCURACY], effect)
    rates = rates_of(passed, checked, wider)
    accuracy = _corrected(passed[:, ACCURACY], checked[:, ACCURACY], expected, wider[:, ACCURACY])
    kept = known & ~np.isnan(rates.rate[:, ACCURACY])
    for part, own in zip(rates[:3], accuracy[:3], strict=True):
        part[:, ACCURACY] = np.where(kept, own, np.nan)
    return Estimates(rates, scores_of(rates, weights, correlation))


def _corrected(passed: F64, checked: F64, expected: tuple[F64, F64, F64, F64], effect: F64) -> Corrected:
    failed = checked - passed
    # Only the ratio of what is expected of the two kinds matters here, and what is over all calls must not exceed 1.
    calls = 2 * np.maximum(expected[0], expected[1]) + 1
    sure = np.ones(len(passed))
    found = correct(passed, failed, calls, Expected(*expected), (sure, sure), effect=effect)
    # Its half counts draw a rate to one half as counts age; a score must not move without evidence.
    good, bad = passed * expected[0], failed * expected[1]
    rate = np.divide(good, good + bad, out=np.full_like(good, np.nan), where=~np.isnan(found.rate))
    return found._replace(rate=rate, low=np.minimum(found.low, rate), high=np.maximum(found.high, rate))
