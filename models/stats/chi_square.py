"""The chi-square distribution, without `scipy.stats`, whose import takes half a second in each process."""

from __future__ import annotations

from scipy.special import gammaincinv


def chi_square_quantile(level: float, degrees: float) -> float:
    """The value below which a chi-square variable lies with probability `level`; equal to `scipy.stats.chi2.ppf`.

    Args:
        level: in [0, 1].
        degrees: of freedom, > 0; need not be whole.

    >>> round(chi_square_quantile(0.95, 1), 2)
    3.84
    """
    return float(2 * gammaincinv(degrees / 2, level))
