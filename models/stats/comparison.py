"""Compare a rate with the rate before; valid although many groups are looked at repeatedly.

The difference d of the log odds of two spans, with variance v = sum of 1 / (count + 1/2), is held against the boundary
of a normal mixture (Robbins 1970; asymptotic confidence sequences: Waudby-Smith et al. 2021, arXiv 2103.06476),

    |d| > sqrt(v (1 + v) (2 ln(1/a) + ln(1 + 1/v))),

which is crossed at any time while the outcomes of one pair of spans come in with probability at most a. Spans move on
with the clock, and there are many groups, so a = alpha / (672 x groups): by the union bound, looks at every
full hour for four weeks report a change in any group where there is none with probability at most alpha.
That costs little: the boundary grows with the square root of the logarithm.

Near 0 and 1 the log odds are far from normal, and where all calls fail nothing would be worse. So a fiftieth of a goes
to confidence sequences of both spans that lie apart, which need no approximation.

Verdicts that arrive at different speeds bias a young span, so the delay-corrected odds must differ too. Where there are
none yet, verdicts that are still to come, if as many answer as before, are counted in favour of no change.
"""

from __future__ import annotations

from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.special import xlogy

from models.arrays import F64, I64, Bools
from models.stats.intervals import Z_95, confidence_sequence, newcombe, wilson

DEFAULT_ALPHA: Final = 0.05
LOOKS: Final = 672
"""Full hours in four weeks: as many different pairs of spans."""
_EXACT: Final = 0.02
"""The share of a that goes to confidence sequences."""
_ROUNDING: Final = 0.1
"""More than rounding can make of a log likelihood of 10^12 outcomes."""


class Span(NamedTuple):
    """Counts of calls per group, shape (groups,) each; where some share a unit, of as many as they are worth."""

    calls: I64 | F64
    successes: I64 | F64
    failures: I64 | F64


class Compared(NamedTuple):
    """Per group, shape (groups,)."""

    worse: Bools
    better: Bools
    low: F64
    """Of the difference current - baseline of the outcomes that are in: 95 % at any look, for one pair of spans; nan
    without outcomes."""
    high: F64
    final: F64
    """Delay-corrected current - baseline, and its interval; nan where the correction is unknown."""
    final_low: F64
    final_high: F64


def level(groups: int | I64, alpha: float = DEFAULT_ALPHA) -> F64:
    """What may be spent on one group at one look."""
    return np.asarray(alpha / (LOOKS * np.maximum(groups, 1)))


def compare(
    baseline: Span,
    current: Span,
    corrected: tuple[F64, F64],
    alpha: float = DEFAULT_ALPHA,
    *,
    groups: int | I64 | None = None,
) -> Compared:
    """Compare two spans of many groups.

    Args:
        baseline: The span before.
        current: The span that is judged.
        corrected: Ends of the delay-corrected interval of `current` (z = 1.96), shape (groups,); nan where unknown.
        alpha: Probability that four weeks of hourly looks name any group without a change.
        groups: How many share `alpha`, of all or of each, shape (groups,); by default as many as there are here.

    >>> unknown, one = np.full(1, np.nan), lambda *counts: Span(*(np.array([count]) for count in counts))
    >>> found = compare(one(1000, 900, 100), one(500, 400, 100), (unknown, unknown))
    >>> found.worse[0], round(float(found.low[0]), 3), round(float(found.high[0]), 3)
    (np.True_, -0.167, -0.039)
    """
    before, now = (side.successes + side.failures for side in (baseline, current))
    some = (before > 0) & (now > 0)
    whole = level(len(before) if groups is None else groups, alpha)
    spent = (1 - _EXACT) * whole
    with np.errstate(divide="ignore", invalid="ignore"):
        ends = [np.log(p) - np.log1p(-p) for p in corrected]
    final, doubt = (ends[0] + ends[1]) / 2, ((ends[1] - ends[0]) / (2 * Z_95)) ** 2
    known = ~np.isnan(final) & ~np.isnan(doubt)
    coming = np.where(known, 0.0, _still_to_come(baseline, current))
    odds, variance = _log_odds(baseline.successes, baseline.failures)
    differs: list[tuple[F64, F64]] = []
    for good, bad in ((coming, 0 * coming), (0 * coming, coming)):
        plain, of_plain = _log_odds(current.successes + good, current.failures + bad)
        differs.append((plain - odds, np.sqrt(variance + of_plain) * reach(variance + of_plain, spent)))
    late, of_late = final - odds, np.sqrt(variance + doubt) * reach(variance + doubt, spent)
    worse = some & (differs[0][0] < -differs[0][1]) & np.where(known, late < -of_late, True)
    better = some & (differs[1][0] > differs[1][1]) & np.where(known, late > of_late, True)
    lower, higher = _apart(baseline, current, corrected, _EXACT * whole)
    worse, better = worse | (some & lower), better | (some & higher)
    _, of_now = _log_odds(current.successes, current.failures)
    wide: Any = reach(variance + of_now, DEFAULT_ALPHA)
    low, high = newcombe(baseline.successes, before, current.successes, now, wide)
    return Compared(worse, better, low, high, *_final(baseline, final, doubt, reach(variance + doubt, DEFAULT_ALPHA)))


def _apart(baseline: Span, current: Span, corrected: tuple[F64, F64], alpha: F64) -> tuple[Bools, Bools]:
    """Whether the confidence sequences of both spans lie apart, whatever is to come, and a corrected interval too."""
    alpha = np.broadcast_to(alpha, baseline.successes.shape)
    lower, higher = np.zeros((2, len(alpha)), np.bool_)
    (rows,) = np.nonzero(_may_lie_apart(baseline, current, alpha))
    if len(rows):
        spans = [Span(*(column[rows] for column in span)) for span in (baseline, current)]
        ends = corrected[0][rows], corrected[1][rows]
        lower[rows], higher[rows] = _sequences_apart(spans[0], spans[1], ends, alpha[rows])
    return lower, higher


def _may_lie_apart(baseline: Span, current: Span, alpha: F64) -> Bools:
    """Where the sequences of `_sequences_apart`, which take a hundred times as long, may lie apart.

    The likelihood of a rate outside a sequence is less than alpha / 2 of the greatest, as it is so of a mixture's. A
    rate between two sequences is outside both. The common rate lies on one side of it, and so is at least as unlikely
    in the span on the other side.
    """
    coming = _still_to_come(baseline, current)
    far = np.maximum(
        _unlikeliness(baseline, current.successes + coming, current.failures),
        _unlikeliness(baseline, current.successes, current.failures + coming),
    )
    return np.asarray(far > np.log(2 / alpha) - _ROUNDING)


def _unlikeliness(before: Span, good: NDArray[np.number], bad: NDArray[np.number]) -> F64:
    """Log of the greatest likelihood over that of the common rate, of the span in which it is less likely."""
    with np.errstate(invalid="ignore", divide="ignore"):
        common = (before.successes + good) / (before.successes + before.failures + good + bad)
    return np.asarray(
        np.maximum(
            *(
                xlogy(s, s) + xlogy(f, f) - xlogy(s + f, s + f) - xlogy(s, common) - xlogy(f, 1 - common)
                for s, f in ((before.successes, before.failures), (good, bad))
            )
        )
    )


def _sequences_apart(baseline: Span, current: Span, corrected: tuple[F64, F64], alpha: F64) -> tuple[Bools, Bools]:
    coming = _still_to_come(baseline, current)
    low, high = confidence_sequence(baseline.successes, baseline.failures, alpha / 2)
    _, at_most = confidence_sequence(current.successes + coming, current.failures, alpha / 2)
    at_least, _ = confidence_sequence(current.successes, current.failures + coming, alpha / 2)
    below, above = ~(corrected[1] >= low), ~(corrected[0] <= high)
    return np.asarray((at_most < low) & below), np.asarray((at_least > high) & above)


def _final(baseline: Span, log_odds: F64, variance: F64, width: Any) -> tuple[F64, F64, F64]:
    """Difference of a rate given by its log odds from the baseline's, by the squares of the one-sided widths.

    (MOVER: Zou and Donner 2008, Statistics in Medicine 27, 1693-1702.)
    """
    trials = baseline.successes + baseline.failures
    low0, high0 = wilson(baseline.successes, trials, width)
    half = width * np.sqrt(variance)
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        rate0 = baseline.successes / trials
        rate, low, high = (1 / (1 + np.exp(-x)) for x in (log_odds, log_odds - half, log_odds + half))
    difference = np.asarray(rate - rate0)
    return (
        difference,
        difference - np.sqrt((rate - low) ** 2 + (high0 - rate0) ** 2),
        difference + np.sqrt((high - rate) ** 2 + (rate0 - low0) ** 2),
    )


def reach(variance: F64, alpha: float | F64) -> F64:
    """Standard errors to the boundary, for an estimate of log odds with this variance, shape (n,)."""
    with np.errstate(divide="ignore"):
        return np.asarray(np.sqrt((1 + variance) * (2 * np.log(1 / alpha) + np.log1p(1 / variance))))


def _log_odds(successes: NDArray[np.number], failures: NDArray[np.number]) -> tuple[F64, F64]:
    s, f = successes.astype(np.float64) + 0.5, failures.astype(np.float64) + 0.5
    return np.asarray(np.log(s / f)), np.asarray(1 / s + 1 / f)


def _still_to_come(baseline: Span, current: Span) -> F64:
    """Verdicts that `current` lacks if the same share of its calls gets one."""
    with np.errstate(invalid="ignore", divide="ignore"):
        answered = (baseline.successes + baseline.failures) / baseline.calls
    missing = answered * current.calls - current.successes - current.failures
    return np.asarray(np.maximum(np.nan_to_num(missing), 0.0))
