"""The chi-square distribution, without `scipy.stats`, whose import takes half a second in each process."""

from __future__ import annotations

from typing import Final

import numpy as np
from scipy.special import gammaincinv

from models.arrays import F64

LEVEL_Z: Final = -0.2533471031357997
"""Quantile of the normal distribution at 40 %: dispersions are upper bounds of 60 % confidence."""


def chi_square_quantile(level: float, degrees: float) -> float:
    """The value below which a chi-square variable lies with probability `level`; equal to `scipy.stats.chi2.ppf`.

    Args:
        level: in [0, 1].
        degrees: of freedom, > 0; need not be whole.

    >>> round(chi_square_quantile(0.95, 1), 2)
    3.84
    """
    return float(2 * gammaincinv(degrees / 2, level))


def upper(dispersion: F64, df: F64, z: float = LEVEL_Z) -> F64:
    """Upper confidence bound of a dispersion, its degrees of freedom > 0; z < 0 (Wilson & Hilferty 1931).

    >>> upper(np.array([2.0]), np.array([20.0])).round(3).tolist()
    [2.245]
    """
    spread = 2 / (9 * df)
    quantile = np.maximum(1 - spread + z * np.sqrt(spread), 1e-2) ** 3
    bound: F64 = dispersion / quantile
    return bound
