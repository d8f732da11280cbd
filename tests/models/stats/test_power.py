"""How long a drop takes to be noticed, against the detector itself, a prototype and the documents.

`pytest -s tests/models/stats/test_power.py` prints what is compared.
"""

from __future__ import annotations

import math
import re
from pathlib import Path

import numpy as np
import pytest

from models.drift.settings import DriftSettings
from models.stats import power as module
from models.stats.power import LONGEST_DAYS, Power, power
from models.stats.shiryaev_roberts import ShiryaevRoberts

pytestmark = pytest.mark.slow  # each simulates the shipped detector

MEASURED = {
    0.95: {30: 19, 50: 11, 100: 5.2, 300: 1.8, 1000: 0.7},
    0.9: {30: 44, 50: 18, 100: 9.3, 300: 3.0, 1000: 1.0},
    0.85: {50: 29, 100: 12, 300: 3.8, 1000: 1.3},
    0.6: {100: 25, 300: 6.8, 1000: 2.2},
}
"""Success rate -> trials a day -> median days until a drop of 5 points is noticed; A = 1000, four weeks of baseline.

Of the plain formula, with other odds ratios (1.1 to 8), all of them held against the baseline.
"""
DOCUMENT = Path(__file__).parents[3] / "docs" / "statistics.md"


@pytest.mark.parametrize("rate", MEASURED)
def test_without_random_effects_days_are_those_of_the_prototype_within_a_third(rate: float) -> None:
    for per_day, days in MEASURED[rate].items():
        found = power(28 * per_day * rate, 28 * per_day * (1 - rate), per_day, 1000.0, dispersion=False)
        print(f"{rate} {per_day} a day: prototype {days} days, power {found.days:.1f}")  # noqa: T201
        assert found.days == pytest.approx(days, rel=1 / 3), (rate, per_day)
        assert 0 <= found.within_week <= 1


@pytest.mark.statistics
@pytest.mark.parametrize(("per_day", "groups", "within"), [(60, 300, 0.35), (200, 300, 0.25), (1000, 200, 0.25)])
def test_the_shipped_detector_notices_when_power_predicts_it(per_day: int, groups: int, within: float) -> None:
    """Hourly batches through the detector from its first day, a success rate of .9; the drop comes at any hour.

    Where traffic is thin the three hours of power's batches do not give the same as three batches of an hour.
    """
    answer = power(35 * 0.9 * per_day, 35 * 0.1 * per_day, per_day, 1000.0)
    rng = np.random.default_rng(6)
    detector = ShiryaevRoberts(groups)
    rows = np.arange(groups)
    begin = 24 * 35 + rng.integers(24, size=groups)
    found = np.full(groups, math.inf)
    # By then half have noticed and a week is over, or power is wrong by more than it may.
    for hour in range(24 * 35 + 24 * 9 + int(24 * answer.days / (1 - within))):
        trials = rng.poisson(per_day / 24, groups)
        failures = rng.binomial(trials, np.where(hour < begin, 0.1, 0.15))
        detector.begin_day(hour // 24, apart=rows < 30)
        mean, _ = detector.update(rows, trials - failures, failures, hour * 60)
        found[np.isinf(found) & (mean >= 1000.0)] = hour + 1
    fair = np.sort((found - begin)[found > begin]) / 24
    median, within_week = fair[len(fair) // 2], (fair <= 7).mean()
    print(f"{per_day} a day: detector {median:.2f} days, {within_week:.2f} in a week; power {answer}")  # noqa: T201
    assert answer.days == pytest.approx(median, rel=within)
    assert answer.within_week == pytest.approx(within_week, abs=0.15)


@pytest.mark.slow
def test_the_table_of_the_documents_is_what_power_returns() -> None:
    """Four weeks of baseline, the default promise. A tenth for other processors: one group may make it a batch more."""
    section = DOCUMENT.read_text("utf-8").split("\n## Power\n")[1].split("\n## ")[0]
    table = [line.strip("| ").split(" | ") for line in section.splitlines() if line.startswith("| ")]
    traffic = [int(re.sub(r"\D", "", cell)) for cell in table[0][1:]]
    assert len(table) == 5
    for rate, *cells in table[1:]:
        good, bad = 28 * float(rate), 28 * (1 - float(rate))
        days = [power(good * n, bad * n, n, DriftSettings().threshold).days for n in traffic]
        documented = [math.inf if cell == f"over {LONGEST_DAYS}" else float(cell) for cell in cells]
        print(f"| {rate} | {' | '.join(f'{each:.{each < 10:d}f}' for each in days)} |")  # noqa: T201
        assert days == pytest.approx(documented, rel=0.1)


def test_where_traffic_is_too_thin_there_is_no_time_at_all() -> None:
    assert power(504, 336, 30, 1000.0).days == math.inf
    assert power(504, 336, 30, 1000.0, dispersion=False).within_week < 0.05
    assert power(0, 0, 0, 1000.0) == (math.inf, 0.0)
    assert power(10, 2, 0.1, 1000.0).days > LONGEST_DAYS


def test_more_of_anything_that_helps_makes_it_sooner() -> None:
    plain = power(2520, 280, 100, 1000.0)
    assert power(2520, 280, 300, 1000.0).days < plain.days
    assert power(25_200, 2_800, 100, 1000.0).days < plain.days
    assert power(2520, 280, 100, 1000.0, drop=0.1).days < plain.days
    assert power(2520, 280, 100, 100.0).days < plain.days
    assert power(2520, 280, 100, 1000.0, dispersion=False).days < plain.days
    assert power(2520, 280, 100, 1000.0, margin=0.01).days > plain.days


@pytest.mark.parametrize(("per_day", "rate"), [(40, 0.1), (100, 0.4), (300, 0.05), (2000, 0.1)])
def test_what_is_not_simulated_any_more_changes_no_answer(
    per_day: int, rate: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    baseline = (35 * per_day * (1 - rate), 35 * per_day * rate, per_day, 1000.0)
    early = power(*baseline)
    monkeypatch.setattr(module, "_is_settled", lambda *_: False)
    assert power(*baseline) == early


def test_equal_questions_get_equal_answers_and_drops_end_at_nothing() -> None:
    assert power(900, 100, 50, 1000.0) == power(900, 100, 50, 1000.0)
    assert power(3, 97, 50, 1000.0, drop=0.5).days >= 0


@pytest.mark.parametrize("trials", [0, 3, 40, 500, 1_500, 10_000_000])
def test_baselines_of_any_age_are_answered(trials: int) -> None:
    found = power(0.9 * trials, 0.1 * trials, 1000, 1000.0)
    assert found.days > 0
    assert 0 <= found.within_week <= 1
    # What is not yet a day old has learned too little of five points.
    assert (found.within_week > 0.9) == (trials > 1_000_000)


def test_an_alarm_that_was_there_before_the_drop_is_not_its_discovery() -> None:
    assert power(2520, 280, 100, 1e-9) == Power(0.0, 1.0)
