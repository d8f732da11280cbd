"""The digest of a week: what its trials show against the baselines with which it began."""

from __future__ import annotations

import pickle

import numpy as np
import pytest

from models.drift.settings import DriftSettings
from models.drift.success_rate.detector import SuccessRateDetector
from models.drift.success_rate.weekly import Learned, mean_r
from models.drift.trial_history import Hours
from models.messages import NO_VALUES, Closed, Group, TrialDeltas
from models.stats.shiryaev_roberts import ShiryaevRoberts

HOUR, WEEK = 60, 10_080
MONDAY = 4 * 1440 + 2900 * WEEK


def test_it_is_the_statistic_restarted_on_monday() -> None:
    rng = np.random.default_rng(3)
    groups = 40
    began = MONDAY - rng.integers(2, 30, groups) * 1440
    rho_day, rho_hour = rng.uniform(0, 0.005, groups), rng.uniform(0, 0.02, groups)
    failures, trials = np.full(groups, 100.0), np.full(groups, 1000.0)
    slow = ShiryaevRoberts(groups)
    slow.failures[:], slow.trials[:], slow.began[:] = failures, trials, began
    slow.last[:] = MONDAY - 1  # a batch is known at the end of its hour
    rows, found = [], np.zeros((groups, 2))
    for hour in range(168):
        n = rng.poisson(3, groups)
        f = rng.binomial(n, np.where(np.arange(groups) < 20, 0.1, 0.25))
        some = np.flatnonzero(n)
        minute = MONDAY + hour * HOUR
        rows.append(np.stack((some, np.full(len(some), minute), f[some], n[some])))
        slow.begin_day(minute // 1440)
        assert slow.dispersion is not None
        slow.dispersion.rho_day[:], slow.dispersion.rho_hour[:] = rho_day, rho_hour
        found[some] = np.stack(slow.update(some, (n - f)[some], f[some], minute + HOUR - 1), axis=1)
    group, minutes, failed, tried = np.concatenate(rows, axis=1)
    hours = Hours(group, minutes, failed.astype(float), tried.astype(float))
    learned = Learned(failures, trials, began, rho_day, rho_hour)
    got = mean_r(hours, MONDAY, learned, 30)
    assert got == pytest.approx(found, rel=1e-9)
    assert (got[20:, 0] > 100).mean() > 0.8
    few = learned._replace(failures=failures / 100, trials=np.full(groups, 29.0))
    assert (mean_r(hours, MONDAY, few, 30) == 0).all()


@pytest.mark.parametrize("together", [1, 24, 400])
def test_a_drop_within_the_week_is_listed_at_its_end_however_minutes_come(together: int) -> None:
    """Ten configs, one of which falls in the second week."""
    names: list[Group] = [("task", "model", f"v{number}") for number in range(10)]
    rng = np.random.default_rng(5)
    drift = SuccessRateDetector(DriftSettings(warmup_us=0))
    hours = np.arange(2 * 168 + 1)
    n = np.full((len(hours), 10), 20)
    rate = np.full((len(hours), 10), 0.1)
    rate[168 + 80 :, 3] = 0.35
    f = rng.binomial(n, rate)
    listed = []
    for begin in range(0, len(hours), together):
        part = hours[begin : begin + together]
        code = np.tile(np.arange(10, dtype=np.int32), len(part))
        minute = np.repeat(MONDAY + part * HOUR + 30, 10).astype(np.int32)
        failed, tried = f[part].ravel().astype(np.int32), n[part].ravel().astype(np.int32)
        none = np.zeros(len(code), np.int32)
        trials = TrialDeltas(code, minute, tried - failed, failed, none, none, tried)
        drift.close(Closed(int(minute[-1]) + 1, names, trials, NO_VALUES))
        listed += drift.digests()
        drift = SuccessRateDetector(DriftSettings(warmup_us=0), pickle.loads(pickle.dumps(drift.state())))
    first, second = listed
    assert first.entries == []
    assert second.groups == 12
    worst = second.entries[0]
    assert (worst.config, worst.direction) == ("v3", "down")
    assert {(entry.config, entry.direction) for entry in second.entries} <= {("v3", "down"), (None, "down")}
    assert worst.baseline == pytest.approx(0.9, abs=0.02)
    assert worst.trials == 168 * 20
    assert drift.digests() == []
