from __future__ import annotations

import math
import warnings
from typing import Any

import numpy as np
import pytest

from aftercall.times import MINUTES_PER_WEEK
from benchmarks.detection import oracle, ours, runs
from benchmarks.detection.peers import CALIBRATED, Adwin, Eddm, HddmA, HddmW, Kswin, kswin_default
from benchmarks.detection.runs import NEVER, Paths
from benchmarks.detection.watcher import Start
from models.arrays import Bools
from models.stats.shiryaev_roberts import RATIOS

pytestmark = pytest.mark.statistics

PEER = {peer.name: peer for peer in CALIBRATED}


def streams(paths: int, events: int) -> Bools:
    """Some change upwards half-way, some downwards, some not at all."""
    rng = np.random.default_rng(12)
    rates = rng.uniform(0.05, 0.5, (2, paths))
    rates[1, ::3] = rates[0, ::3]
    return rng.random((events, paths)) < np.repeat(rates, events // 2, axis=0)


def river(name: str, threshold: float) -> Any:
    from river import drift

    confidence = math.exp(-threshold) if name.startswith(("HDDM", "ADWIN")) else 0.0
    detectors: dict[str, Any] = {
        "ADWIN": lambda: drift.ADWIN(delta=confidence),
        "PageHinkley": lambda: drift.PageHinkley(threshold=threshold),
        "PageHinkley up, delta .01, alpha 1": lambda: drift.PageHinkley(
            threshold=threshold, mode="up", delta=0.01, alpha=1.0
        ),
        "DDM": lambda: drift.binary.DDM(drift_threshold=threshold),
        "DDM, warm start 1,000": lambda: drift.binary.DDM(drift_threshold=threshold, warm_start=1000),
        "EDDM": lambda: drift.binary.EDDM(beta=-threshold),
        "HDDM_A": lambda: drift.binary.HDDMA(drift_confidence=confidence),
        "HDDM_W": lambda: drift.binary.HDDMW(drift_confidence=confidence),
    }
    return detectors[name]()


@pytest.mark.parametrize(
    ("name", "threshold"),
    [
        ("ADWIN", PEER["ADWIN"].default),
        ("PageHinkley", PEER["PageHinkley"].default),
        ("PageHinkley", 15.0),
        ("PageHinkley up, delta .01, alpha 1", 15.0),
        ("DDM", PEER["DDM"].default),
        ("DDM, warm start 1,000", 1.5),
        ("DDM", 6.0),
        ("EDDM", PEER["EDDM"].default),
        ("EDDM", -0.7),
        ("HDDM_A", PEER["HDDM_A"].default),
        ("HDDM_W", PEER["HDDM_W"].default),
        ("HDDM_W", 3.0),
    ],
)
def test_a_peer_first_alarms_where_river_does(name: str, threshold: float) -> None:
    failed = streams(40, 1400)
    watcher = PEER[name].start(failed.shape[1], threshold)
    over = np.stack([watcher.step(row) > 0 for row in failed])
    found = np.where(over.any(axis=0), over.argmax(axis=0), NEVER)
    for path in range(failed.shape[1]):
        detector, first = river(name, threshold), NEVER
        for number, one in enumerate(failed[:, path].tolist()):
            detector.update(int(one))
            if detector.drift_detected:
                first = number
                break
        assert found[path] == first
    assert len(set(found.tolist())) > 5


def test_kswin_counts_its_window_and_draws_from_its_older_part() -> None:
    failed = streams(7, 400)
    watcher = Kswin(7, 0.0)
    for number, row in enumerate(failed, 1):
        excess = watcher.step(row)
        if number < 100:
            assert (excess == -np.inf).all()
            continue
        new = failed[number - 30 : number].sum(axis=0)
        old = failed[number - 100 : number - 30].sum(axis=0)
        assert (watcher._new == new).all()
        assert (watcher._old == old).all()
        drawn = np.stack((new - 30 * excess, new + 30 * excess))
        possible = (drawn > np.maximum(0, old - 40) - 1e-9) & (drawn < np.minimum(30, old) + 1e-9)
        assert possible.any(axis=0).all()


def test_the_default_of_kswin_decides_as_the_test_that_river_runs() -> None:
    from scipy.stats import ks_2samp

    default = kswin_default()
    for old, new in [(0, 10), (0, 11), (0, 12), (0, 13), (3, 15), (10, 22), (20, 10), (15, 30), (30, 5)]:
        samples = [[1] * count + [0] * (30 - count) for count in (old, new)]
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", RuntimeWarning)
            p_value = ks_2samp(*samples, method="auto").pvalue
        assert (abs(old - new) / 30 > default) == (p_value <= 0.005)


@pytest.mark.parametrize("threshold", [0.0, 0.6])
def test_the_formula_is_the_shiryaev_roberts_statistic_of_the_events(threshold: float) -> None:
    failed = np.random.default_rng(6).random((260, 3)) < [0.1, 0.1, 0.5]
    watcher = ours.Formula(3, threshold)
    watcher.learn(failed[:30])
    watcher.learn(failed[30:60])
    for path in range(3):
        r, events = np.zeros(8), float(failed[:60, path].sum())
        again = ours.Formula(3, threshold)
        again.learn(failed[:60])
        for number in range(60, 260):
            one = failed[number, path]
            q = (0.5 + events + one / 2) / (1 + number + 0.5)
            r = (r + 1) * np.where(one, RATIOS, 1.0) / (1 + (RATIOS - 1) * q)
            events += one
            assert again.step(failed[number])[path] + threshold == pytest.approx(r.mean() / MINUTES_PER_WEEK, rel=1e-9)


def test_an_event_of_ten_days_of_history_falls_into_its_hour() -> None:
    minutes = ours.minute_of(np.arange(10_000))
    assert (minutes[0], minutes[1000]) == (ours.BEGINS, ours.BEGINS + 1440)
    assert (np.bincount(minutes // 1440)[1:-1] == 1000).all()
    assert (np.diff(minutes) >= 1).all()
    cut, whole = ours.Shipped(4, 0.0), ours.Shipped(4, 0.0)
    failed = np.random.default_rng(8).random((3500, 4)) < 0.2
    whole.learn(failed[:3000])
    for low in range(0, 3000, 77):
        cut.learn(failed[low : min(low + 77, 3000)])
    for row in failed[3000:]:
        assert (whole.step(row) == cut.step(row)).all()


def test_both_directions_share_what_is_promised() -> None:
    """A group with 1,000 a day has 7,000 events in a week, and T / A false alarms per direction in T weeks."""
    threshold = ours.promised(10_000)
    assert 2 * (10_000 / 7_000) / threshold == pytest.approx(1)


@pytest.mark.parametrize(
    ("start", "threshold"),
    [
        (ours.Formula, 0.02),
        (ours.Shipped, 1.0),
        (oracle.oracle(0.2, 0.3), 2.0),
        (HddmA, 3.0),
        (HddmW, 3.0),
        (Eddm, -0.9),
        (Adwin, 3.0),
    ],
)
def test_paths_that_have_alarmed_are_dropped_without_a_trace(start: Start, threshold: float) -> None:
    """First alarms of many paths together are those of a watcher that keeps all its paths."""
    paths = Paths(4, 30, 300, np.repeat([0.2, 0.4], 400))
    found = runs.first_alarms(start, threshold, paths)
    watcher = start(30, threshold)
    expected = np.full(30, NEVER)
    for first, failed in paths.blocks():
        if first < 0:
            watcher.learn(failed)
            continue
        for number, row in enumerate(failed, first):
            over = watcher.step(row) > 0
            expected[over & (expected == NEVER)] = number
    assert found.tolist() == expected.tolist()
    assert len(set(expected.tolist())) > 5


def test_a_calibrated_threshold_is_exceeded_by_the_share_it_is_for() -> None:
    start = oracle.oracle(0.2, 0.4)
    threshold = runs.calibrated(start, 0.2, 300, 0, 400)
    share = np.mean(runs.first_alarms(start, threshold, Paths(77, 3000, 0, np.full(300, 0.2))) != NEVER)
    assert share == pytest.approx(1 - math.exp(-1), abs=0.08)
    searched = runs.calibrated(HddmW, 0.2, 300, 50, 300, (0.5, 60.0))
    often = [
        np.mean(runs.first_alarms(HddmW, at, Paths(11, 300, 50, np.full(300, 0.2))) != NEVER)
        for at in (searched, searched - 0.1)
    ]
    assert often[0] <= 1 - math.exp(-1) < often[1]


@pytest.mark.parametrize(("before", "after", "threshold"), [(0.1, 0.2, 2.5), (0.4, 0.6, 3.0), (0.1, 0.3, 4.0)])
def test_the_mean_time_of_the_oracle_is_that_of_its_simulation(before: float, after: float, threshold: float) -> None:
    alarms = runs.first_alarms(oracle.oracle(before, after), threshold, Paths(3, 2000, 0, np.full(20_000, before)))
    assert (alarms != NEVER).all()
    assert oracle.mean_time(before, after, threshold) == pytest.approx((alarms + 1).mean(), rel=0.06)


def test_a_threshold_has_the_mean_time_that_it_was_asked_for() -> None:
    threshold = oracle.threshold_for(0.1, 0.2, 5000)
    assert oracle.mean_time(0.1, 0.2, threshold) == pytest.approx(5000, rel=0.01)


def test_delays_count_from_the_change_and_leave_early_alarms_out() -> None:
    alarms = np.array([999, 1000, 1009, NEVER])
    delay = runs.delay_of(alarms, 500)
    assert (delay.mean, delay.early, delay.undetected) == pytest.approx(((1 + 10 + 500) / 3, 0.25, 1 / 3))
    assert math.isnan(runs.delay_of(np.array([3, 4]), 500).mean)


def test_a_change_begins_a_thousand_events_after_the_history() -> None:
    step, ramp = runs.changed(0.1, 0.2, 3000), runs.changed(0.1, 0.0, 3000)
    assert np.flatnonzero(step != 0.1)[0] == 1000
    assert step[1000] == pytest.approx(0.3)
    assert ramp[1000] == pytest.approx(0.1)
    assert ramp[2000] == pytest.approx(0.15)
    assert ramp[3500] == pytest.approx(0.2)
    blocks = list(Paths(1, 5, 600, step).blocks())
    assert [first for first, _ in blocks][:4] == [-600, -350, -100, 0]
    assert sum(len(part) for _, part in blocks) == 600 + len(step)
