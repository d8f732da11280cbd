"""Compares variants on the rows of one suite, each pair with an interval that allows for how many pairs there are.

The same rows are put to every variant, so that the difference of two is taken row by row, and what makes a row hard
cancels. With d_i the difference of the scores in row i of n and z the quantile for the level (Student, n - 1 degrees of
freedom), z^2 / 2 rows are added, a quarter of them with +1, a quarter with -1 and half with 0, and the interval is

    m -+ z s / sqrt(n + z^2 / 2)

of the mean m and the standard deviation s of all of them (Agresti and Min 2005, Statistics in Medicine 24, 729-740, who
add two rows of paired verdicts at 95 %). Without them a few rows that happen to agree would be taken for certainty. All
pairs hold together with 95 %: each has the level 1 - .05 / pairs (Bonferroni).
"""

from __future__ import annotations

from itertools import combinations
from typing import Final, Literal, NamedTuple

import numpy as np
from scipy.special import stdtrit

from models.arrays import F64

CONFIDENCE: Final = 0.95
FIVE_POINTS: Final = 0.05
"""How many rows are needed is said of this difference too, whatever was seen."""
_MOST_TIMES: Final = 1000
FEWEST_ROWS: Final = 2


class PairedDifference(NamedTuple):
    """How the second of two variants does beside the first.

    Attributes:
        first, second: numbers of the variants.
        rows: that both were run on.
        difference: mean score of the second minus that of the first, -1 to 1.
        low, high: interval, corrected for the number of pairs.
        state: of the second: `better`, `worse`, or `cannot_tell` where the interval has 0 in it.
        rows_more: how many rows more would tell if the difference stayed as it is; 0 where these do, None where
            over 1,000 times as many would be needed, or there is no difference.
        rows_for_points: how many rows in all would tell a difference of 5 points.
    """

    first: int
    second: int
    rows: int
    difference: float
    low: float
    high: float
    state: Literal["better", "worse", "cannot_tell"]
    rows_more: int | None
    rows_for_points: int


def paired_differences(scores: F64) -> list[PairedDifference]:
    """Compare each two variants.

    Args:
        scores: of each variant in each row, shape (variants, rows), 0 to 1; nan where a row has none.

    Returns:
        One for each pair that shares at least two rows, in the order of the variants.

    >>> two = paired_differences(np.array([[1.0] * 40, [1.0] * 30 + [0.0] * 10]))[0]
    >>> two.state, round(two.difference, 2), round(two.low, 2), round(two.high, 2)
    ('worse', -0.25, -0.38, -0.1)
    """
    pairs = list(combinations(range(len(scores)), 2))
    compared = []
    for first, second in pairs:
        differences = scores[second] - scores[first]
        differences = differences[~np.isnan(differences)]
        if len(differences) >= FEWEST_ROWS:
            compared.append(_pair(first, second, differences, CONFIDENCE, len(pairs)))
    return compared


def _pair(first: int, second: int, differences: F64, confidence: float, pairs: int) -> PairedDifference:
    rows = len(differences)
    z = float(stdtrit(rows - 1, 1 - (1 - confidence) / (2 * pairs)))
    added = z * z / 2
    mean = float(differences.sum()) / (rows + added)
    variance = (float((differences**2).sum()) + added / 2) / (rows + added) - mean**2
    half = z * (variance / (rows + added)) ** 0.5
    low, high = max(mean - half, -1.0), min(mean + half, 1.0)
    state: Literal["better", "worse", "cannot_tell"] = "better" if low > 0 else "worse" if high < 0 else "cannot_tell"
    return PairedDifference(
        first,
        second,
        rows,
        float(differences.mean()),
        low,
        high,
        state,
        0 if state != "cannot_tell" else _rows_more(mean, variance, z, rows),
        int(np.ceil(z * z * max(variance, FIVE_POINTS) / FIVE_POINTS**2)),
    )


def _rows_more(mean: float, variance: float, z: float, rows: int) -> int | None:
    """Rows beyond these with which z standard errors are less than the difference."""
    if mean == 0 or z * z * variance > rows * _MOST_TIMES * mean**2:
        return None
    return max(int(np.ceil(z * z * variance / mean**2 - z * z / 2)) - rows, 1)
