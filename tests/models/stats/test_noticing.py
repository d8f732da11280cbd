"""The interpolated time until a drop is noticed, against the simulation."""

from __future__ import annotations

import math

import numpy as np
import pytest

from models.drift.settings import DriftSettings
from models.stats.noticing import noticing
from models.stats.power import LONGEST_DAYS, power


@pytest.mark.slow
@pytest.mark.parametrize(
    ("rate", "per_day", "age"),
    [(0.92, 130, 30), (0.87, 700, 20), (0.7, 400, 60), (0.98, 45, 40), (0.5, 1500, 10), (0.85, 5000, 5), (0.8, 12, 60)],
)
def test_between_nodes_the_answer_is_that_of_the_simulation_within_a_third(
    rate: float, per_day: float, age: float
) -> None:
    good, bad = rate * per_day * age, (1 - rate) * per_day * age
    simulated = power(good, bad, per_day, DriftSettings().threshold)
    found = noticing(np.array([good]), np.array([bad]), np.array([float(per_day)]))
    print(rate, per_day, age, simulated, found)  # noqa: T201
    if math.isinf(simulated.days):
        assert found.days[0] > LONGEST_DAYS / 2
    else:
        assert found.days[0] == pytest.approx(simulated.days, rel=1 / 3, abs=1 / 12)
    assert found.within_week[0] == pytest.approx(simulated.within_week, abs=0.15)


def test_no_outcomes_are_no_answer_and_neighbours_do_not_matter() -> None:
    good, bad, per_day = np.array([9000, 0, 5, 900]), np.array([1000, 0, 1, 100]), np.array([500.0, 9.0, 0.0, 1e9])
    found = noticing(good, bad, per_day)
    assert np.isnan(found.days).tolist() == [False, True, True, False]
    assert np.isnan(found.within_week).tolist() == [False, True, True, False]
    alone = noticing(good[:1], bad[:1], per_day[:1])
    assert (alone.days[0], alone.within_week[0]) == (found.days[0], found.within_week[0])


def test_more_traffic_never_takes_much_longer() -> None:
    per_day = np.geomspace(30, 50_000, 40)
    days = noticing((25 * per_day).astype(np.int64), (3 * per_day).astype(np.int64), per_day).days
    assert (days[1:] <= 1.25 * days[:-1]).all()
