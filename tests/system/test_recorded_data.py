"""Recorded traffic, where it lies beside the checkout: the same check as `make check-real`, on one set."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks import check_real


@pytest.mark.slow
@pytest.mark.long
def test_a_recorded_set_is_counted_as_polars_counts_it(real_data: Path) -> None:
    """Verdicts, rates and counters, with a horizon that fits and with a short one."""
    assert (real_data / "aidev_pop_dev").is_dir()
    assert check_real.main(["--only", "aidev_pop_dev"]) == 0
