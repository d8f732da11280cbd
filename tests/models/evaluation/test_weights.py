"""A suite is weighed by the strata of production, never by outcomes, and says how sure it is."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.evaluation import StrataCells, in_strata, strata_of, weigh

F64 = np.float64


def cells(*parts: list[float]) -> StrataCells:
    return StrataCells(*(np.array(part, F64) for part in parts))


def test_a_suite_of_easy_rows_is_too_polite() -> None:
    """40 of 50 rows are of the easy tenth of production."""
    found = weigh(cells([40, 5], [40, 10], [1000, 9000], [950, 4400], [1000, 8800]))
    assert found is not None
    assert found.plain == pytest.approx(0.9)
    assert found.suite.value == pytest.approx(0.1 * 1 + 0.9 * 0.5)
    assert found.production.value == pytest.approx(0.1 * 0.95 + 0.9 * 0.5)
    assert found.difference.value == pytest.approx(0.005)
    assert found.difference.low < 0 < found.difference.high
    assert found.weights == pytest.approx([50 * 0.1 / 40, 50 * 0.9 / 10])


def test_weights_are_by_calls_not_by_verdicts() -> None:
    """Strata in which fewer calls get a verdict count no less."""
    few = weigh(cells([9, 5], [10, 10], [500, 500], [450, 25], [500, 50]))
    many = weigh(cells([9, 5], [10, 10], [500, 500], [450, 250], [500, 500]))
    assert few is not None
    assert many is not None
    assert few.suite == many.suite
    assert few.production.value == many.production.value


def test_outcomes_of_production_move_no_weight() -> None:
    first = weigh(cells([9, 5], [10, 10], [300, 700], [1, 600], [300, 700]))
    second = weigh(cells([9, 5], [10, 10], [300, 700], [299, 6], [300, 700]))
    assert first is not None
    assert second is not None
    assert list(first.weights) == list(second.weights)


def test_what_production_has_where_the_suite_has_no_row_is_not_covered() -> None:
    found = weigh(cells([9, 0], [10, 0], [600, 400], [500, 1], [600, 400]))
    assert found is not None
    assert found.covered == pytest.approx(0.6)
    assert found.production.value == pytest.approx(5 / 6)
    assert found.weights[1] == 0


def test_without_a_stratum_that_both_have_nothing_can_be_said() -> None:
    assert weigh(cells([9, 0], [10, 0], [0, 400], [0, 1], [0, 400])) is None
    assert weigh(cells([9], [10], [40], [0], [0])) is None


def test_a_stratum_that_passes_everything_is_not_certain() -> None:
    found = weigh(cells([5, 5], [5, 5], [500, 500], [400, 400], [500, 500]))
    assert found is not None
    assert found.suite.value == 1
    assert found.suite.low < 0.75


def test_outcomes_that_agree_widen_the_interval_of_production() -> None:
    plain = weigh(cells([8], [10], [500], [400], [500]))
    wide = weigh(cells([8], [10], [500], [400], [500]), design_effect=4.0)
    assert plain is not None
    assert wide is not None
    assert wide.production.high - wide.production.low == pytest.approx(
        2 * (plain.production.high - plain.production.low), rel=0.05
    )


def test_the_interval_of_the_difference_covers_the_truth() -> None:
    """Three strata, 60 rows that are not in production's proportions: 95 % cover, 92.5 % is 4 standard errors below."""
    draw = np.random.default_rng(11)
    share, rows = np.array([0.6, 0.3, 0.1]), np.array([15.0, 15.0, 30.0])
    passing, succeeding = np.array([0.95, 0.8, 0.6]), np.array([0.9, 0.7, 0.6])
    calls = 4000 * share
    truth = float(np.sum(share * (passing - succeeding)))
    covered = 0
    for _ in range(1200):
        found = weigh(
            StrataCells(
                draw.binomial(rows.astype(int), passing).astype(F64),
                rows,
                calls,
                draw.binomial(calls.astype(int), succeeding).astype(F64),
                calls,
            )
        )
        assert found is not None
        covered += found.difference.low <= truth <= found.difference.high
    assert covered / 1200 > 0.925


def test_dimensions_are_dropped_until_the_strata_have_rows() -> None:
    values = np.array([[0, 0], [0, 1], [1, 0], [1, 1]])
    calls = np.array([100.0, 100.0, 100.0, 100.0])
    assert strata_of(values, np.array([5.0, 5.0, 5.0, 5.0]), calls).dimensions == (0, 1)
    assert strata_of(values, np.array([9.0, 1.0, 5.0, 0.0]), calls).dimensions == (0,)
    assert strata_of(values, np.array([9.0, 8.0, 0.0, 0.0]), calls).dimensions == (1,)
    assert strata_of(values, np.array([9.0, 0.0, 0.0, 0.0]), calls).dimensions == ()


@given(
    st.lists(
        st.tuples(st.integers(0, 9), st.integers(0, 9), st.integers(0, 99), st.integers(0, 99)), min_size=1, max_size=6
    )
)
def test_rates_lie_within_their_intervals_and_weights_average_to_one(
    given_cells: list[tuple[int, int, int, int]],
) -> None:
    made = cells(
        [float(min(passes, rows)) for passes, rows, _, _ in given_cells],
        [float(rows) for _, rows, _, _ in given_cells],
        [float(calls) for _, _, calls, _ in given_cells],
        [float(min(good, calls)) for _, _, calls, good in given_cells],
        [float(calls) for _, _, calls, _ in given_cells],
    )
    found = weigh(made)
    if found is None:
        assert not np.any((made.rows > 0) & (made.calls > 0))
        return
    for rate in (found.suite, found.production, found.difference):
        assert rate.low - 1e-9 <= rate.value <= rate.high + 1e-9
    assert np.sum(found.weights * made.rows) == pytest.approx(made.rows.sum())
    assert 0 < found.covered <= 1


def test_cells_are_summed_by_stratum() -> None:
    summed = in_strata(cells([1, 2, 3], [1, 2, 3], [4, 5, 6], [1, 1, 1], [2, 2, 2]), np.array([0, 1, 0]))
    assert list(summed.calls) == [10, 5]
