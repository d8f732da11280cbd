"""What hours and days vary of themselves is learned, and is no evidence of a change."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np
import pytest

from models.arrays import F64
from models.stats.correlations import PRIOR_RHO
from models.stats.dispersion import Dispersion
from models.stats.shiryaev_roberts import RATIOS, ShiryaevRoberts

DAY = 1440
START = 20_000 * DAY


def hours(
    groups: int, days: int, per_hour: float, *, day_icc: float = 0.0, hour_icc: float = 0.0, seed: int = 1
) -> Iterator[tuple[int, F64, F64]]:
    """(minute, trials, failures) of each hour; a rate of 0.1 that wanders between days and between hours."""
    rng = np.random.default_rng(seed)

    def wander(rate: F64, icc: float) -> F64:
        weight = 1 / icc - 1 if icc else math.inf
        return rate if math.isinf(weight) else rng.beta(rate * weight, (1 - rate) * weight)

    for day in range(days):
        of_day = wander(np.full(groups, 0.1), day_icc)
        for hour in range(24):
            n = rng.poisson(per_hour, groups)
            yield (
                START + day * DAY + hour * 60,
                n.astype(float),
                rng.binomial(n, wander(of_day, hour_icc)).astype(float),
            )


def learned(stream: Iterator[tuple[int, F64, F64]], groups: int) -> Dispersion:
    group = ShiryaevRoberts(groups)
    for minute, n, f in stream:
        group.begin_day(minute // DAY)
        group.learn(np.arange(len(n)), np.full(len(n), minute), f, n, 1.0)
    group.begin_day(minute // DAY + 1)
    assert group.dispersion is not None
    return group.dispersion


@pytest.mark.parametrize(("day_icc", "hour_icc"), [(0.0, 0.0), (0.005, 0.0), (0.0, 0.01), (0.005, 0.01)])
def test_the_correlations_of_days_and_hours_are_learned_apart(day_icc: float, hour_icc: float) -> None:
    found = learned(hours(200, 28, 400, day_icc=day_icc, hour_icc=hour_icc), 200)
    for rho, icc in ((found.rho_day, day_icc), (found.rho_hour, hour_icc)):
        middle = float(np.median(rho))
        # Upper bounds, so somewhat above; with nothing to find next to nothing.
        assert 0.9 * icc <= middle <= 1.6 * icc + 0.0004, (middle, icc)


def test_a_group_without_days_of_its_own_is_taken_for_one_of_the_others() -> None:
    group = ShiryaevRoberts(101)
    for minute, n, f in hours(100, 14, 400, day_icc=0.005):
        group.begin_day(minute // DAY)
        group.learn(np.arange(100), np.full(100, minute), f, n, 1.0)
    group.begin_day(minute // DAY + 1)
    assert group.dispersion is not None
    assert group.dispersion.rho_day[100] == pytest.approx(0.005, rel=0.3)
    assert Dispersion(1).rho_day[0] == PRIOR_RHO


def test_a_group_added_amid_a_day_is_taken_as_if_it_had_been_added_before() -> None:
    late, early = (learned(hours(20, 14, 400, day_icc=0.005), groups) for groups in (20, 21))
    late.grow(21)
    again = Dispersion.from_state(late.state())
    again.grow(22)
    for rho in ("rho_day", "rho_hour"):
        expected = getattr(early, rho)[20]
        assert expected != PRIOR_RHO
        assert getattr(again, rho)[20:].tolist() == [expected, expected]


def test_a_lasting_change_is_not_taken_for_days_that_vary() -> None:
    def changing() -> Iterator[tuple[int, F64, F64]]:
        rng = np.random.default_rng(2)
        for hour in range(28 * 24):
            n = rng.poisson(400, 50)
            rate = 0.1 if hour < 14 * 24 else 0.15
            yield START + hour * 60, n.astype(float), rng.binomial(n, rate).astype(float)

    steady = learned(hours(50, 28, 400), 50).rho_day
    changed = learned(changing(), 50).rho_day
    assert np.median(changed) < 0.002
    assert np.median(steady) < np.median(changed)


Pair = tuple[float, float]


class Slow:
    """One group, its own arithmetic, under given correlations: hours, quarters and days kept as lists."""

    def __init__(self, rho_day: float, rho_hour: float, opens: int) -> None:
        self.rho_day, self.rho_hour = rho_day, rho_hour
        self.failures = self.trials = 0.0
        self.opens = opens
        self.day: list[Pair] = []
        self.own: list[Pair] = []
        self.rho_own: float | None = None
        self.quarter: list[Pair] = []
        self.hour = [0.0, 0.0]
        self.at = (-1, -1, -1, -1)
        self.days_begun = 1
        self.began = -1
        self.today = np.zeros((2, 8))
        self.r = np.zeros((2, 8))

    def counting(self, e: float, n: float) -> Pair:
        weight = 1 / (1 + n * self.rho_hour)
        return e * weight, n * weight

    def grained(self, e: float, n: float) -> Pair:
        e, n = self.counting(e, n)
        return round(e * 64) / 64, round(n * 64) / 64

    def with_hour(self, e: float, n: float) -> tuple[Pair, Pair, Pair]:
        """The quarter, the day and the own day, if their hour has shown e in n."""
        quarter = sums([*self.quarter, self.counting(e, n)])
        return quarter, sums([*self.day, self.counting(*quarter)]), sums([*self.own, self.counting(*quarter)])

    def turn(self, minute: int) -> None:
        now = (minute // DAY, minute // 360, minute // 60, (minute - 360 * self.opens) // DAY)
        self.days_begun = now[3] - self.at[3] if self.at[0] >= 0 else 1
        if now[2] != self.at[2]:
            self.quarter.append(self.grained(*self.hour))
            self.hour = [0.0, 0.0]
        if now[1] != self.at[1]:
            for day in (self.day, self.own):
                day.append(self.grained(*sums(self.quarter)))
            self.quarter = []
        if now[0] != self.at[0]:
            self.day = []
        if self.days_begun:
            self.own, self.today, self.rho_own = [], np.zeros((2, 8)), None
        self.at = now

    def batch(self, minute: int, f: float, n: float, weeks: float) -> F64:
        self.began = minute if self.began < 0 else self.began
        age = (minute - self.began) / DAY
        if self.rho_own is None:  # an own day has the correlation with which it began
            self.rho_own = self.rho_day
        rho_day, rho_own = (rho * (1 + 1 / max(age, 1)) for rho in (self.rho_day, self.rho_own))
        margin = 0.04 if age < 1 else 0.0
        base = (0.5 + self.failures + f / 2) / (1 + self.trials + n / 2)
        middle = self.hour[0] + f / 2, self.hour[1] + n / 2
        quarter, day, _ = self.with_hour(*middle)
        rates = [base, (base + rho_day * day[0]) / (1 + rho_day * day[1])]
        for e, m in (quarter, middle):
            rates = [(q + self.rho_hour * e) / (1 + self.rho_hour * m) for q in rates]
        before = 1 / (1 + rho_own * self.with_hour(0, self.hour[1])[2][1])
        self.hour[0] += f
        self.hour[1] += n
        after = 1 / (1 + rho_own * self.with_hour(0, self.hour[1])[2][1])
        active = self.trials >= 30
        for side, events in enumerate((f, n - f)):
            for j, ratio in enumerate(RATIOS):
                q = rates[j // 4]
                q = min((q if side == 0 else 1 - q) + margin, 1)
                gain = events * math.log(ratio) - n * math.log(1 + (ratio - 1) * q)
                if j < 4 and active:
                    held = self.today[side, j]
                    self.today[side, j] += gain
                    gain = after * self.today[side, j] - before * held
                given = self.days_begun / 7 if j < 4 else weeks
                self.r[side, j] = (self.r[side, j] + given) * math.exp(gain) if active else 0.0
        self.failures += f
        self.trials += n
        means: F64 = self.r.mean(axis=1)
        return means


def sums(pairs: list[Pair]) -> Pair:
    return sum(e for e, _ in pairs), sum(n for _, n in pairs)


@pytest.mark.parametrize("opens", [0, 1, 3])
def test_days_quarters_and_hours_enter_by_the_formula(opens: int) -> None:
    rng = np.random.default_rng(5)
    group = ShiryaevRoberts()
    group.grow(1, opens)
    slow = Slow(PRIOR_RHO, PRIOR_RHO, opens)
    before, compared = None, 0
    for minute in range(START + 200, START + 3 * DAY, 7):
        n = float(rng.poisson(3))
        f = float(rng.binomial(int(n), 0.1 if minute < START + 2000 else 0.3))
        if n:
            slow.turn(minute)
            group.begin_day(minute // DAY)
            assert group.dispersion is not None
            slow.rho_day, slow.rho_hour = group.dispersion.rho_day[0], group.dispersion.rho_hour[0]
            got = np.stack(group.update(np.array([0]), np.array([n - f]), np.array([f]), minute))[:, 0]
            wanted = slow.batch(minute, f, n, 0 if before is None else (minute - before) / 10_080)
            before = minute
            assert got == pytest.approx(wanted, rel=1e-9)
            compared += wanted[0] > 1
    assert compared > 20


def test_days_that_vary_raise_no_alarm_and_a_change_does() -> None:
    groups, week = 300, 7 * 24
    alarmed = {dispersion: np.zeros(groups, np.bool_) for dispersion in (False, True)}
    for dispersion in alarmed:
        group = ShiryaevRoberts(groups, dispersion=dispersion)
        for at, (minute, n, f) in enumerate(hours(groups, 21, 400, day_icc=0.005, seed=7)):
            down, up = group.update(np.arange(groups), n - f, f, minute)
            if at > week:
                alarmed[dispersion] |= (down >= 1e3) | (up >= 1e3)
    n = np.full(groups, 400.0)
    for later in range(60, 24 * 60, 60):
        down, _ = group.update(np.arange(groups), n * 0.75, n * 0.25, minute + later)
    # 1.2 are promised of 300 groups in two weeks, in both directions.
    assert alarmed[False].sum() > 50
    assert alarmed[True].sum() <= 3
    assert (down >= 1e3).mean() > 0.7
