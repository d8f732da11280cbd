"""Quantiles are those of SciPy, to the last bit."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import chi2

from models.stats.chi_square import chi_square_quantile


@given(st.floats(0, 1), st.one_of(st.integers(1, 10**7), st.floats(0.01, 1e7)))
def test_a_quantile_is_scipy_s(level: float, degrees: float) -> None:
    assert chi_square_quantile(level, degrees) == float(chi2.ppf(level, degrees))
