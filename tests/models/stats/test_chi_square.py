"""Quantiles are those of SciPy, to the last bit."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import chi2

from models.stats.chi_square import LEVEL_Z, chi_square_quantile, upper


@given(st.floats(0, 1), st.one_of(st.integers(1, 10**7), st.floats(0.01, 1e7)))
def test_a_quantile_is_scipy_s(level: float, degrees: float) -> None:
    assert chi_square_quantile(level, degrees) == float(chi2.ppf(level, degrees))


def test_the_bound_of_a_dispersion_is_that_of_chi_square() -> None:
    df = np.array([4.0, 12.0, 40.0, 161.0])
    level = 0.5 * (1 + math.erf(LEVEL_Z / math.sqrt(2)))
    assert upper(np.ones(4), df) == pytest.approx(df / chi2.ppf(level, df), rel=0.01)
