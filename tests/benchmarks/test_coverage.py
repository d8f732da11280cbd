"""The corrected rate through `RateCells`: right on average, and as often as its interval promises."""

from __future__ import annotations

import pytest

from benchmarks import coverage
from benchmarks.coverage import SETTINGS, score, simulate, weights

pytestmark = pytest.mark.statistics

BY_NAME = {setting.name: setting for setting in SETTINGS}


@pytest.mark.parametrize(
    ("name", "naive_bias"),
    [("6 h", 0.1), ("24 h, half of the calls in the last", 0.08), ("6 h after a drop of 10 points", 0.13)],
)
def test_windows_of_six_hours_and_more_are_right_though_most_verdicts_are_still_out(
    name: str, naive_bias: float
) -> None:
    setting = BY_NAME[name]
    found = simulate(setting, 300, seed=1)
    bias, share, _ = score(found.corrected, setting.truth)
    assert abs(bias) < 0.006
    # Two standard errors of 300 groups around the wanted .93 to .97.
    assert 0.905 < share < 0.99
    assert score(found.naive, setting.truth)[0] < -naive_bias


def test_verdicts_slower_than_three_days_are_corrected_for_too() -> None:
    setting = BY_NAME["24 h, failures 2 d, successes 1 h"]
    found = simulate(setting, 150, seed=2)
    bias, share, _ = score(found.corrected, setting.truth)
    assert abs(bias) < 0.012
    assert share > 0.89
    assert score(found.naive, setting.truth)[0] > 0.1


@pytest.mark.slow
def test_the_shipped_weight_of_the_task_type_keeps_coverage_where_its_groups_differ() -> None:
    table = weights(200)
    column = table[0].index("RMSE, coverage at 10")
    for row in table[1:]:
        assert float(row[column].split(", ")[1]) > 0.88, row
    heavy = [float(row[table[0].index("RMSE, coverage at 50")].split(", ")[1]) for row in table[1:]]
    assert min(heavy) < 0.85, "fifty verdicts, as was proposed, are too many"


def test_figures_and_table_fit_together(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(coverage.GROUPS, "ci", 60)
    numbers, table = coverage.figures("ci")
    assert {len(row) for row in table} == {len(coverage.HEADER)}
    assert [row[0] for row in table[1:]] == [setting.name for setting in SETTINGS]
    assert {"corrected_coverage_6h", "corrected_abs_bias_6h", "naive_abs_bias_6h"} <= numbers.keys()
    assert numbers["corrected_abs_bias_6h"] < 0.02 < numbers["naive_abs_bias_6h"]
